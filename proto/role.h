/* Roles: what the holder of a key may ask for. PROTOCOL.md section 6. */
#ifndef STEPPE_PROTO_ROLE_H
#define STEPPE_PROTO_ROLE_H

/* The numbers go over the wire. */
enum role { ROLE_ADMIN, ROLE_SUBMIT, ROLE_READ, ROLE_WORKER, ROLE_COUNT };

#define ROLE_BIT(role) (1u << (role))

extern const char *const role_names[]; /* indexed by role, NULL-terminated */

#endif

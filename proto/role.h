/* Roles: which requests the holder of a key may make. PROTOCOL.md section 6. */
#ifndef STEPPE_PROTO_ROLE_H
#define STEPPE_PROTO_ROLE_H

/* ROLE_NONE is who was not judged yet: a zeroed struct may send nothing. ROLE_SERVER answers
 * requests and may make none. */
enum role {
    ROLE_NONE,
    ROLE_ADMIN,
    ROLE_SUBMIT,
    ROLE_READ,
    ROLE_WORKER,
    ROLE_SERVER,
    ROLE_TRAINER,
    ROLE_END
};

#define ROLE_BIT(role) (1u << (role))

/* As people and key files write them, NULL-terminated; a name's index is its number. */
extern const char *const role_names[];

const char *role_name(enum role role); /* "none" for ROLE_NONE */
/* The number of a role in a certificate; ROLE_NONE has none. */
unsigned role_number(enum role role);
/* ROLE_NONE: no role has this number. */
enum role role_of_number(unsigned number);

#endif

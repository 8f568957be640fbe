#include "proto/role.h"

#include <assert.h>
#include <stddef.h>

#define ROLES (ROLE_END - 1)

/* These numbers are part of every key that was ever given out. */
static const enum role by_number[ROLES] = {
    [0] = ROLE_ADMIN,  [1] = ROLE_SUBMIT, [2] = ROLE_READ,
    [3] = ROLE_WORKER, [4] = ROLE_SERVER, [5] = ROLE_TRAINER,
};

const char *const role_names[] = {
    [0] = "admin",  [1] = "submit",  [2] = "read",   [3] = "worker",
    [4] = "server", [5] = "trainer", [ROLES] = NULL,
};

unsigned role_number(enum role role)
{
    unsigned number = 0;

    while (number < ROLES && by_number[number] != role)
        number++;
    assert(number < ROLES);
    return number;
}

enum role role_of_number(unsigned number)
{
    return number < ROLES ? by_number[number] : ROLE_NONE;
}

const char *role_name(enum role role)
{
    return role == ROLE_NONE ? "none" : role_names[role_number(role)];
}

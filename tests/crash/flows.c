/* SPDX-License-Identifier: Apache-2.0 */
/* See flows.h. web.yaml is v1; changed.yaml is the same with another port and one more variable, forward.yaml with
 * `on_crash: finish`; web-v3 does not start. */
#include <string.h>

#include "tests/crash/flows.h"

#define APPLY "apply web.yaml"
#define CHANGE "apply changed.yaml"
#define UPGRADE "upgrade web --source ./web-v2 --version v2"
#define BROKEN "upgrade web --source ./web-v3 --version v3"
#define PRUNING "upgrade web --source ./web-v1 --version v5 --set retention.releases=1"
#define FORWARD "apply forward.yaml"
#define ROLLBACK "rollback web"
#define REMOVE "remove web --yes"
#define PURGE "remove web --purge --yes"

/* clang-format off */
#define V1 {"v1", PORT_FIRST}
#define V2 {"v2", PORT_FIRST}
#define V5 {"v5", PORT_FIRST}
#define MOVED {"v1", PORT_OTHER}
#define NONE {NULL, PORT_FIRST}

const Flow flows[] = {
        /* name                  setup                  command         status before  after  flags            crash at           again */
        {"init",                 {NULL},                "init",         0,     NONE,   NONE,  FLOW_NO_RECORDS, NULL,              "init"},
        {"apply",                {"init"},              APPLY,          0,     NONE,   V1,    0,               NULL,              APPLY},
        {"change",               {APPLY},               CHANGE,         0,     V1,     MOVED, 0,               NULL,              CHANGE},
        {"upgrade",              {APPLY},               UPGRADE,        0,     V1,     V2,    0,               NULL,              UPGRADE},
        {"prune",                {APPLY, UPGRADE},      PRUNING,        0,     V2,     V5,    0,               NULL,              PRUNING},
        {"broken",               {APPLY},               BROKEN,         4,     V1,     V1,    FLOW_PUTS_BACK,  NULL,              NULL},
        {"rollback",             {APPLY, UPGRADE},      ROLLBACK,       0,     V2,     V1,    0,               NULL,              NULL},
        {"remove",               {APPLY},               REMOVE,         0,     V1,     NONE,  0,               NULL,              NULL},
        {"purge",                {APPLY},               PURGE,          0,     V1,     NONE,  0,               NULL,              NULL},
        {"stop",                 {APPLY},               "stop web",     0,     V1,     NONE,  0,               NULL,              "stop web"},
        {"start",                {APPLY, "stop web"},   "start web",    0,     NONE,   V1,    0,               NULL,              "start web"},
        {"restart",              {APPLY},               "restart web",  0,     V1,     V1,    0,               NULL,              NULL},
        {"finish",               {"init"},              FORWARD,        0,     NONE,   V1,    0,               NULL,              FORWARD},
        {"recover-apply",        {"init"},              APPLY,          0,     NONE,   V1,    0,               "commit-before",   APPLY},
        {"recover-upgrade",      {APPLY},               UPGRADE,        0,     V1,     V2,    0,               "commit-before",   UPGRADE},
        {"recover-upgrade-done", {APPLY},               UPGRADE,        0,     V1,     V2,    0,               "commit-after",    UPGRADE},
        {"recover-gate",         {APPLY},               UPGRADE,        0,     V1,     V2,    0,               "process-before-gate", UPGRADE},
        {"recover-broken",       {APPLY},               BROKEN,         4,     V1,     V1,    FLOW_PUTS_BACK,  "revert-after:2",  NULL},
        {"recover-remove",       {APPLY},               REMOVE,         0,     V1,     NONE,  0,               "commit-before",   NULL},
        {"recover-purge-done",   {APPLY},               PURGE,          0,     V1,     NONE,  0,               "commit-after",    NULL},
        {"recover-finish",       {FORWARD},             UPGRADE,        0,     V1,     V2,    0,               "apply-after:3",   UPGRADE},
        {"recover-restart",      {APPLY},               "restart web",  0,     V1,     V1,    0,               "apply-after:2",   NULL},
};
/* clang-format on */
const unsigned n_flows = sizeof flows / sizeof *flows;

const Flow *flow_find(const char *name) {
        for (unsigned i = 0; i < n_flows; i++)
                if (strcmp(flows[i].name, name) == 0)
                        return &flows[i];
        return NULL;
}

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
#define ONCE 0
#define AGAIN FLOW_REPEATS
#define PUTS_BACK FLOW_PUTS_BACK
#define NO_RECORDS (FLOW_NO_RECORDS | FLOW_REPEATS)

const Flow flows[] = {
        /* name, setup, command, its exit status, before, after, flags, crash point */
        {"init",                 {NULL},              "init",        0, NONE, NONE,  NO_RECORDS, NULL},
        {"apply",                {"init"},            APPLY,         0, NONE, V1,    AGAIN,      NULL},
        {"change",               {APPLY},             CHANGE,        0, V1,   MOVED, AGAIN,      NULL},
        {"upgrade",              {APPLY},             UPGRADE,       0, V1,   V2,    AGAIN,      NULL},
        {"prune",                {APPLY, UPGRADE},    PRUNING,       0, V2,   V5,    AGAIN,      NULL},
        {"broken",               {APPLY},             BROKEN,        4, V1,   V1,    PUTS_BACK,  NULL},
        {"rollback",             {APPLY, UPGRADE},    ROLLBACK,      0, V2,   V1,    ONCE,       NULL},
        {"remove",               {APPLY},             REMOVE,        0, V1,   NONE,  ONCE,       NULL},
        {"purge",                {APPLY},             PURGE,         0, V1,   NONE,  ONCE,       NULL},
        {"stop",                 {APPLY},             "stop web",    0, V1,   NONE,  AGAIN,      NULL},
        {"start",                {APPLY, "stop web"}, "start web",   0, NONE, V1,    AGAIN,      NULL},
        {"restart",              {APPLY},             "restart web", 0, V1,   V1,    ONCE,       NULL},
        {"finish",               {"init"},            FORWARD,       0, NONE, V1,    AGAIN,      NULL},
        {"recover-apply",        {"init"},            APPLY,         0, NONE, V1,    AGAIN,      "commit-before"},
        {"recover-upgrade",      {APPLY},             UPGRADE,       0, V1,   V2,    AGAIN,      "commit-before"},
        {"recover-upgrade-done", {APPLY},             UPGRADE,       0, V1,   V2,    AGAIN,      "commit-after"},
        {"recover-gate",         {APPLY},             UPGRADE,       0, V1,   V2,    AGAIN,      "process-before-gate"},
        {"recover-broken",       {APPLY},             BROKEN,        4, V1,   V1,    PUTS_BACK,  "revert-after:2"},
        {"recover-remove",       {APPLY},             REMOVE,        0, V1,   NONE,  ONCE,       "commit-before"},
        {"recover-purge-done",   {APPLY},             PURGE,         0, V1,   NONE,  ONCE,       "commit-after"},
        {"recover-finish",       {FORWARD},           UPGRADE,       0, V1,   V2,    AGAIN,      "apply-after:3"},
        {"recover-restart",      {APPLY},             "restart web", 0, V1,   V1,    ONCE,       "apply-after:2"},
};
/* clang-format on */
const unsigned n_flows = sizeof flows / sizeof *flows;

const Flow *flow_find(const char *name) {
        for (unsigned i = 0; i < n_flows; i++)
                if (strcmp(flows[i].name, name) == 0)
                        return &flows[i];
        return NULL;
}

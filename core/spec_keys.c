/* SPDX-License-Identifier: Apache-2.0 */
/* The table itself. A key that is not here does not exist; one that is not built yet is SPEC_LATER, refused by name. */
#include <string.h>

#include "core/spec_keys.h"

#define SECOND 1000000LL
#define DAY (86400 * SECOND)

static const char *source_short(const char *text) {
        if (strstr(text, "://") || strncmp(text, "${", 2) == 0)
                return "url";
        return strncmp(text, "github:", 7) == 0 || strncmp(text, "gitea:", 6) == 0 ? "repo" : "path";
}

static const char *health_short(const char *text) {
        return strcmp(text, "none") == 0 ? "type" : "preset";
}

static const char *type_short(const char *text) {
        (void)text;
        return "type";
}

static const char *url_short(const char *text) {
        (void)text;
        return "url";
}

static const char *route_short(const char *text) {
        return text[0] == '/' ? "path" : "host";
}

static const char *name_short(const char *text) {
        (void)text;
        return "name";
}

/* clang-format off */
static const SpecDefault preset_gc[] = {
        {"type", "tcp"}, {"interval", "1s"}, {"timeout", "1s"}, {"deadline", "10s"}, {NULL, NULL},
};
static const SpecDefault preset_dw[] = {
        {"type", "http"}, {"attempts", "4"}, {"interval", "5s"}, {"timeout", "10s"}, {"deadline", "0s"}, {NULL, NULL},
};
static const SpecDefault preset_dp[] = {
        {"type", "http"}, {"start", "30s"}, {"attempts", "3"}, {"interval", "3s"}, {"timeout", "5s"}, {"deadline", "0s"}, {NULL, NULL},
};
static const SpecDefault preset_tg_fast[] = {
        {"type", "http"}, {"interval", "500ms"}, {"timeout", "5s"}, {"deadline", "60s"}, {"backoff", "1.5"}, {"max_interval", "2s"}, {NULL, NULL},
};
static const struct {
        const char *name;
        const SpecDefault *defaults;
} presets[] = {
        {"auto", preset_gc}, {"gc", preset_gc}, {"dw", preset_dw}, {"dp", preset_dp}, {"tg-fast", preset_tg_fast},
};
/* clang-format on */

static const SpecDefault *health_defaults(const char *preset) {
        for (size_t i = 0; preset && i < ELEMENTSOF(presets); i++)
                if (strcmp(presets[i].name, preset) == 0)
                        return presets[i].defaults;
        return preset_gc;
}

/* clang-format off */
static const SpecKey source_keys[] = {
        {"type",       SPEC_CHOICE, NULL,  .text = "path: a program, archive or directory of this host; url: fetched; github, gitea: of a release; seen from the other keys",
         .choices = "path url github gitea", .later = "dir image build git compose template"},
        {"path",       SPEC_PATH,   NULL,  .text = "what to deploy, relative to the spec"},
        {"url",        SPEC_FETCH,  NULL,  .text = "what to fetch; of type gitea: the server"},
        {"repo",       SPEC_REPO,   NULL,  .text = "of type github or gitea: owner/name, or name where the host knows the owner"},
        {"asset",      SPEC_ASSET,  NULL,  .text = "which file of the release: {name} {version} {os} {arch} are filled in; otherwise as the host says"},
        {"version",    SPEC_VERSION, NULL, .text = "of a release: the same as version"},
        {"checksums",  SPEC_ASSET,  NULL,  .text = "the release's file of checksums; auto: SHA256SUMS, checksums.txt, .sha256; none", .automatic = ""},
        {"public_key", SPEC_SIGNER, NULL,  .text = "the minisign key that must have signed the asset or the checksums"},
        {"sha256",     SPEC_SHA256, NULL,  .text = "what the content must hash to; needed for http"},
        {"max_size",   SPEC_SIZE,   "2GB", .text = "more than this is refused", .min = 1, .max = INT64_MAX},
        {"ca_file",    SPEC_PATH,   NULL,  .text = "certificates to trust instead of the system's"},
        {.name = "image",      .type = SPEC_LATER},
        {.name = "pull",       .type = SPEC_LATER},
        {.name = "dockerfile", .type = SPEC_LATER},
        {.name = "args",       .type = SPEC_LATER},
        {.name = "ref",        .type = SPEC_LATER},
        {.name = "compose",    .type = SPEC_LATER},
        {.name = "exclude",    .type = SPEC_LATER},
        {.name = "commands",   .type = SPEC_LATER},
        {.name = NULL},
};

static const SpecKey unit_keys[] = {
        {"after",       SPEC_ARGV,     NULL,         .text = "units that are started before; otherwise network.target"},
        {"restart",     SPEC_CHOICE,   "on-failure", .text = "when systemd starts a program anew that ended by itself", .choices = "on-failure always no"},
        {"restart_sec", SPEC_DURATION, "5s",         .text = "and after which time", .min = 0, .max = DAY, .to = "restart_usec"},
        {"hardening",   SPEC_BOOL,     "true",       .text = "the program sees and may do only what a service needs"},
        {.name = "extra", .type = SPEC_LATER, .text = "Write it into a drop-in file: pawl keeps those."},
        {.name = NULL},
};

static const SpecKey resource_keys[] = {
        {"memory", SPEC_SIZE,   NULL, .text = "more than this ends the program", .min = 1 << 20, .max = INT64_MAX},
        {"cpu",    SPEC_FACTOR, NULL, .text = "processors it may use: 0.5, 2", .min = 10, .max = 1000000, .to = "cpu_milli"},
        {.name = NULL},
};

static const SpecKey runtime_keys[] = {
        {"type",           SPEC_CHOICE,   "auto", .text = "systemd: a unit of its own; process: pawl starts the program itself; auto: systemd where it runs the host and pawl is root",
         .choices = "auto process systemd", .later = "docker compose coolify"},
        {"exec",           SPEC_ARGV,     NULL,   .text = "the program and its arguments; {port} {release} {current} {data} {name} {version}; empty: the release itself",
         .flags = SPEC_KEPT},
        {"user",           SPEC_TEXT,     NULL,   .text = "who runs it; auto, under systemd: a user of its own, pawl-<service>", .automatic = ""},
        {"credentials",    SPEC_BOOL,     NULL,   .text = "under systemd: secrets are files in $CREDENTIALS_DIRECTORY instead of variables"},
        {"stop_timeout",   SPEC_DURATION, "10s",  .text = "from the polite signal to the other one", .min = 0, .max = DAY, .to = "stop_timeout_usec"},
        {"directory",      SPEC_WORKDIR,  NULL,   .text = "where it runs, such as {data}; otherwise the release"},
        {"unit",           SPEC_MAP,      NULL,   .text = "under systemd: what its unit says beside", .keys = unit_keys},
        {.name = "container_port", .type = SPEC_LATER},
        {.name = "publish",        .type = SPEC_LATER},
        {.name = "network",        .type = SPEC_LATER},
        {.name = "restart",        .type = SPEC_LATER},
        {.name = "volumes",        .type = SPEC_LATER},
        {.name = "compose",        .type = SPEC_LATER},
        {.name = NULL},
};

static const SpecKey secret_keys[] = {
        {"name",     SPEC_KEY,   NULL,               .text = "the variable", .flags = SPEC_REQUIRED},
        {"generate", SPEC_COUNT, "32",               .text = "found nowhere: make one of so many characters; false: fail", .min = 8, .max = 128, .automatic = "32"},
        {"from",     SPEC_WORDS, "env dotenv store", .text = "where to look: the caller's environment, env_file, what was generated before", .choices = "env dotenv store"},
        {.name = NULL},
};

static const SpecKey file_keys[] = {
        {"path",    SPEC_FILE,    NULL,   .text = "under /etc/pawl/<service>/", .flags = SPEC_REQUIRED},
        {"content", SPEC_CONTENT, NULL,   .text = "the whole text", .flags = SPEC_REQUIRED | SPEC_KEPT},
        {"mode",    SPEC_MODE,    "0644", .text = "octal"},
        {.name = NULL},
};

static const SpecKey health_expect_keys[] = {
        {"status",         SPEC_INT, NULL, .text = "the same as health.status", .min = 100, .max = 599},
        {.name = "body_status",    .type = SPEC_LATER},
        {.name = "allow_degraded", .type = SPEC_LATER},
        {.name = "version",        .type = SPEC_LATER},
        {.name = NULL},
};

static const SpecKey health_keys[] = {
        {"preset",       SPEC_CHOICE,   "auto",      .text = "where the other keys' defaults come from; auto: gc", .choices = "auto gc dw dp tg-fast", .later = "fb tg"},
        {"type",         SPEC_CHOICE,   NULL,        .text = "tcp: it listens; http: it answers; none", .choices = "tcp http none", .later = "https exec"},
        {"scheme",       SPEC_CHOICE,   NULL,        .text = "of type http", .choices = "http", .later = "https"},
        {"host",         SPEC_TEXT,     "auto",      .text = "auto: 127.0.0.1", .automatic = "127.0.0.1"},
        {"port",         SPEC_PORT,     "auto",      .text = "auto: the service's", .automatic = ""},
        {"path",         SPEC_TEXT,     NULL,        .text = "of type http: what to ask for (/)"},
        {"status",       SPEC_INT,      NULL,        .text = "of type http: the status of a good answer (200)", .min = 100, .max = 599},
        {"expect",       SPEC_MAP,      NULL,        .text = "of type http: what a good answer is", .keys = health_expect_keys},
        {"start",        SPEC_DURATION, "0s",        .text = "how long \"nobody is there\" is not yet an attempt", .min = 0, .max = DAY, .to = "start_usec"},
        {"attempts",     SPEC_INT,      "0",         .text = "0: as many as the deadline allows", .min = 0, .max = 100000},
        {"interval",     SPEC_DURATION, "1s",        .text = "between two attempts", .min = 10000, .max = DAY, .to = "interval_usec"},
        {"timeout",      SPEC_DURATION, "1s",        .text = "for one attempt", .min = 10000, .max = DAY, .to = "timeout_usec"},
        {"deadline",     SPEC_DURATION, "10s",       .text = "for all; 0s: what the attempts take", .min = 0, .max = DAY, .to = "deadline_usec"},
        {"backoff",      SPEC_FACTOR,   "1.0",       .text = "each interval is so many times the one before", .min = 1000, .max = 100000, .to = "backoff_milli"},
        {"max_interval", SPEC_DURATION, "0s",        .text = "no interval grows beyond; 0s: no limit", .min = 0, .max = DAY, .to = "max_interval_usec"},
        {"consecutive",  SPEC_INT,      "1",         .text = "good answers in a row", .min = 1, .max = 1000},
        {.name = "tls",          .type = SPEC_LATER},
        {.name = "command",      .type = SPEC_LATER},
        {.name = NULL},
};

static const SpecKey retention_keys[] = {
        {"releases",     SPEC_INT, NULL, .text = "releases kept, the running one among them", .min = 1, .max = 10000},
        {"days",         SPEC_INT, NULL, .text = "and for so many days", .min = 0, .max = 100000},
        {.name = "history_days", .type = SPEC_LATER},
        {.name = "log_days",     .type = SPEC_LATER},
        {.name = NULL},
};

static const SpecKey notify_keys[] = {
        {"url",      SPEC_URL,      NULL,  .text = "gets a POST with the outcome", .flags = SPEC_REQUIRED},
        {"events",   SPEC_WORDS,    NULL,  .text = "empty: all", .flags = SPEC_KEPT, .choices = "completed failed", .later = "rolled_back"},
        {"attempts", SPEC_INT,      "3",   .text = "before it becomes a warning", .min = 1, .max = 100},
        {"timeout",  SPEC_DURATION, "10s", .text = "for one attempt", .min = 10000, .max = DAY, .to = "timeout_usec"},
        {"format",   SPEC_CHOICE,   NULL,  .text = "json", .choices = "json", .later = "ntfy"},
        {"retries",  SPEC_LATER,    NULL,  .text = "Use attempts: retries and one."},
        {.name = NULL},
};

static const SpecKey tls_keys[] = {
        {"cert", SPEC_PATH, NULL, .text = "the certificate with its chain", .flags = SPEC_REQUIRED},
        {"key",  SPEC_PATH, NULL, .text = "its key", .flags = SPEC_REQUIRED},
        {.name = NULL},
};

static const SpecKey route_keys[] = {
        {"via",      SPEC_CHOICE, "nginx", .text = "what answers there", .choices = "nginx", .later = "npm caddy coolify"},
        {"host",     SPEC_HOST,   NULL,    .text = "a server block of its own for this name"},
        {"path",     SPEC_ROUTE,  NULL,    .text = "of the host; without one: of whatever includes pawl-paths.conf"},
        {"tls",      SPEC_MAP,    NULL,    .text = "answer with TLS, and send there who comes without", .keys = tls_keys},
        {"required", SPEC_BOOL,   "false", .text = "true: without its route the service is not deployed; false: it is, with a warning"},
        {.name = NULL},
};

const SpecKey spec_keys[] = {
        {"pawl",         SPEC_TEXT,     NULL,      .text = "the format of this file: 1; needed"},
        {"name",         SPEC_SERVICE,  NULL,      .text = "the service; otherwise the name of the file", .flags = SPEC_REQUIRED},
        {"kind",         SPEC_CHOICE,   "service", .text = "worker: no port; it must live for 2 s instead of answering", .choices = "service worker"},
        {"version",      SPEC_VERSION,  NULL,      .text = "of a release its tag, or latest; otherwise sha- and 12 digits of the content's hash"},
        {"source",       SPEC_MAP,      NULL,      .text = "what to deploy: a path, a url, github:owner/name, gitea:owner/name, or a map", .flags = SPEC_REQUIRED, .keys = source_keys, .short_key = source_short},
        {"runtime",      SPEC_MAP,      "auto",    .text = "what runs it", .keys = runtime_keys, .short_key = type_short},
        {"port",         SPEC_PORT,     NULL,      .text = "where it listens, told by PORT and {port}; auto: the lowest that is free", .automatic = ""},
        {"env",          SPEC_ENV,      NULL,      .text = "variables of the program"},
        {"env_file",     SPEC_PATH,     NULL,      .text = "more of them, KEY=VALUE; env wins"},
        {"secrets",      SPEC_LIST,     NULL,      .text = "variables that are looked up or generated, and kept sealed", .keys = secret_keys, .short_key = name_short},
        {"data",         SPEC_BOOL,     "true",    .text = "a directory of its own, {data}, that outlives releases"},
        {"files",        SPEC_LIST,     NULL,      .text = "configuration files", .keys = file_keys},
        {"health",       SPEC_MAP,      "auto",     .text = "when the new version counts as running", .keys = health_keys, .short_key = health_short, .defaults = health_defaults},
        {"retention",    SPEC_MAP,      NULL,      .text = "how many old releases are kept; otherwise as the host says", .keys = retention_keys},
        {"notify",       SPEC_LIST,     NULL,      .text = "who is told how it ended", .keys = notify_keys, .short_key = url_short},
        {"on_crash",     SPEC_CHOICE,   "reverse", .text = "after a power cut: put everything back, or finish", .choices = "reverse finish"},
        {"timeout",      SPEC_DURATION, "10m",     .text = "for everything", .min = SECOND, .max = 30 * DAY, .to = "timeout_usec"},
        {.name = "project",      .type = SPEC_LATER},
        {.name = "stage",        .type = SPEC_LATER},
        {.name = "environment",  .type = SPEC_LATER},
        {.name = "target",       .type = SPEC_LATER},
        {"env_required", SPEC_LATER,    NULL,      .text = "Name them under secrets."},
        {"config_file",  SPEC_LATER,    NULL,      .text = "Write it under files."},
        {.name = "database",     .type = SPEC_LATER},
        {.name = "snapshot",     .type = SPEC_LATER},
        {.name = "migrate",      .type = SPEC_LATER},
        {.name = "verify",       .type = SPEC_LATER},
        {"route",        SPEC_MAP,      NULL,      .text = "how it is reached from outside: a host, a path, or a map", .keys = route_keys, .short_key = route_short},
        {.name = "dns",          .type = SPEC_LATER},
        {.name = "strategy",     .type = SPEC_LATER},
        {"resources",    SPEC_MAP,      NULL,      .text = "under systemd: what the service may use", .keys = resource_keys},
        {.name = "register",     .type = SPEC_LATER},
        {.name = "rollback",     .type = SPEC_LATER},
        {.name = NULL},
};
/* clang-format on */

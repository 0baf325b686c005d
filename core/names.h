/* SPDX-License-Identifier: Apache-2.0 */
/* Where things of a service live, relative to the root. Each returns a new text, or NULL when memory is out. */
#pragma once

/* What an enabled unit is linked into. */
#define NAME_WANTS_DIR "etc/systemd/system/multi-user.target.wants"

char *name_service_dir(const char *service);                  /* opt/pawl/web */
char *name_releases_dir(const char *service);                 /* opt/pawl/web/releases */
char *name_release(const char *service, const char *version); /* opt/pawl/web/releases/v1 */
char *name_current(const char *service);                      /* opt/pawl/web/current */
char *name_config_dir(const char *service);                   /* etc/pawl/web */
char *name_env(const char *service);                          /* etc/pawl/web/env */
char *name_definition(const char *service);                   /* etc/pawl/web/process */
char *name_secret(const char *service, const char *variable); /* etc/pawl/web/secret-TOKEN */
char *name_unit_file(const char *unit);                       /* etc/systemd/system/pawl-web.service */
char *name_unit_drop_ins(const char *unit);                   /* etc/systemd/system/pawl-web.service.d */
char *name_unit_link(const char *unit);   /* etc/systemd/system/multi-user.target.wants/pawl-web.service */
char *name_data_dir(const char *service); /* var/lib/pawl-data/web */
char *name_log(const char *service);      /* var/log/pawl/web.log */

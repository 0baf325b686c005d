/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that knows the layout of a service on the host. */
#include "core/names.h"
#include "core/base/text.h"

char *name_service_dir(const char *service) {
        return text_format("opt/pawl/%s", service);
}

char *name_releases_dir(const char *service) {
        return text_format("opt/pawl/%s/releases", service);
}

char *name_release(const char *service, const char *version) {
        return text_format("opt/pawl/%s/releases/%s", service, version);
}

char *name_current(const char *service) {
        return text_format("opt/pawl/%s/current", service);
}

char *name_config_dir(const char *service) {
        return text_format("etc/pawl/%s", service);
}

char *name_env(const char *service) {
        return text_format("etc/pawl/%s/env", service);
}

char *name_definition(const char *service) {
        return text_format("etc/pawl/%s/process", service);
}

char *name_secret(const char *service, const char *variable) {
        return text_format("etc/pawl/%s/secret-%s", service, variable);
}

char *name_unit_file(const char *unit) {
        return text_format("etc/systemd/system/%s", unit);
}

char *name_unit_drop_ins(const char *unit) {
        return text_format("etc/systemd/system/%s.d", unit);
}

char *name_unit_link(const char *unit) {
        return text_format(NAME_WANTS_DIR "/%s", unit);
}

char *name_data_dir(const char *service) {
        return text_format("var/lib/pawl-data/%s", service);
}

char *name_log(const char *service) {
        return text_format("var/log/pawl/%s.log", service);
}

/* The properties of one event, and the variables of the environment that become properties. */
#include "emit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device_variables.h"

/* vdevd puts this before the names of a uevent's variables. */
static const char VDEV_PREFIX[] = "VDEV_OS_";

/* One KEY=VALUE. */
struct property {
  const char *key; /* without a NUL at its end */
  size_t key_length;
  const char *value;
};
/* In the order of the keys' first appearance. */
static struct property *properties;
static size_t count, room;

static int is_device_variable(const char *name, size_t length) {
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
    if (strlen(NAMES[i]) == length && memcmp(NAMES[i], name, length) == 0) return 1;
  }
  for (size_t i = 0; i < sizeof PREFIXES / sizeof *PREFIXES; i++) {
    size_t prefix_length = strlen(PREFIXES[i]);
    if (prefix_length <= length && memcmp(PREFIXES[i], name, prefix_length) == 0) return 1;
  }
  return 0;
}

static struct property *find(const char *key, size_t key_length) {
  for (size_t i = 0; i < count; i++) {
    struct property *property = &properties[i];
    if (property->key_length != key_length) continue;
    if (memcmp(property->key, key, key_length) == 0) return property;
  }
  return NULL;
}

static const char *value_of(const char *key) {
  const struct property *property = find(key, strlen(key));
  return property == NULL ? NULL : property->value;
}

void set(const char *key, size_t key_length, const char *value) {
  struct property *property = find(key, key_length);
  if (property != NULL) {
    property->value = value;
    return;
  }
  if (count == room) {
    room = room * 2 + 64;
    properties = larger(properties, room * sizeof *properties);
  }
  properties[count++] = (struct property){key, key_length, value};
}

/* Sets the device variables whose names begin with `prefix`, without the prefix. */
static void set_from_prefix(const char *prefix) {
  for (char **entry = environ; *entry != NULL; entry++) {
    const char *equals = strchr(*entry, '=');
    if (equals == NULL || strncmp(*entry, prefix, strlen(prefix)) != 0) continue;
    const char *key = *entry + strlen(prefix);
    size_t key_length = (size_t)(equals - key);
    if (is_device_variable(key, key_length)) set(key, key_length, equals + 1);
  }
}

void set_from_environment(void) {
  set_from_prefix("");
  if (value_of("DEVPATH") != NULL || getenv("VDEV_OS_DEVPATH") == NULL) return;
  const char *action = getenv("VDEV_ACTION");
  if (action != NULL) set("ACTION", strlen("ACTION"), action);
  set_from_prefix(VDEV_PREFIX);
}

char *build_event(size_t *length) {
  const char *action = value_of("ACTION"), *devpath = value_of("DEVPATH");
  if (action == NULL || devpath == NULL) {
    die(EXIT_USAGE,
        "ACTION and DEVPATH are required "
        "(try eventfs emit ACTION=change DEVPATH=/my/thing SUBSYSTEM=mine)");
  }
  if (action[0] == '\0' || strpbrk(action, "@\n") != NULL)
    die(EXIT_USAGE, "ACTION=%s: it must be a text without @ and line ends", action);
  if (devpath[0] != '/') die(EXIT_USAGE, "DEVPATH=%s: it must begin with /", devpath);
  if (strchr(devpath, '\n') != NULL) die(EXIT_USAGE, "DEVPATH=%s: it has a line end", devpath);
  size_t size = strlen(action) + 1 + strlen(devpath) + 1;
  for (size_t i = 0; i < count; i++) {
    size += properties[i].key_length + 1 + strlen(properties[i].value) + 1;
  }
  char *text = larger(NULL, size + 1), *at = text;
  at += sprintf(at, "%s@%s", action, devpath) + 1;
  for (size_t i = 0; i < count; i++) {
    const struct property *property = &properties[i];
    at += sprintf(at, "%.*s=%s", (int)property->key_length, property->key, property->value) + 1;
  }
  *length = size;
  return text;
}

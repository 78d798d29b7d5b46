# eventfs: `sudo make mount` sets everything up and serves /dev/events; `sudo make test` sets
# everything up and tests it.

DIR ?= /dev/events
BIN := node_modules/.bin
ADDON := build/Release/eventfs.node
MODULES := node_modules/.package-lock.json
COMPILED := dist/.tsbuildinfo
# The C and C++ of the product.
NATIVE := $(shell find $(addprefix native/,addon emit exec guard notifier) \
  -name '*.[ch]' -o -name '*.cc')
SHELL_SCRIPTS := bin/eventfs tools/model/verify $(shell find .ci -type f) \
  $(addprefix packaging/,prebuild prepack install uninstall deb) \
  $(addprefix packaging/debian/,postinst prerm postrm) \
  $(shell find examples packaging -name '*.sh' -o -path '*/openrc/*' -type f \
    -o -path '*/s6/*/run' -o -path '*/s6/*/finish' -o -path '*/runit/*/*' -type f)

# Node's own headers where they came with it; else node-gyp fetches those of the running version.
NODE_PREFIX := $(shell node -p "require('path').resolve(process.execPath, '../..')" 2>/dev/null)
ifneq ($(wildcard $(NODE_PREFIX)/include/node/node_api.h),)
NODEDIR := --nodedir=$(NODE_PREFIX)
endif
export npm_config_update_notifier := false

# Files that root builds in a user's clone (sudo make) belong to the clone's owner, also where a
# command fails or is interrupted.
BUILT := node_modules build dist benchmarks/build test/build
OWNER := $(shell stat -c %u:%g .)
ifeq ($(shell id -u),0)
KEEP_OWNER := $(if $(filter-out 0:%,$(OWNER)),\
  trap 'chown -fhR $(OWNER) $(BUILT)' EXIT; trap 'exit 130' INT TERM;)
endif

.PHONY: all mount test soak simulate model mutants bench compare man completions api lint types \
  deps clean

# The comparison's programs where there is a comparison: benchmarks/ is no part of what is served.
all: deps $(ADDON) $(COMPILED) \
  $(if $(wildcard benchmarks/programs/Makefile),benchmarks/build/subscribers)

# Serves $(DIR) in the foreground until Ctrl-C.
mount: all
	@mkdir -p $(DIR)
	@exec bin/eventfs mount --hint $(DIR)

# Everything, or `make test ONLY='streams publish'`: the files whose names have one of these in
# them. ONLY=unit needs no root and no mount, and tries each property a twentieth as often: seconds,
# before each commit. TRANSPORT=io-uring or =read has every daemon use that.
UNIT_ONLY := $(if $(ONLY),$(if $(filter-out unit unit/%,$(ONLY)),,yes))
test: all $(if $(UNIT_ONLY),,test/build/deaths)
	@$(KEEP_OWNER)$(if $(TRANSPORT),EVENTFS_TRANSPORT=$(TRANSPORT)) \
	  $(if $(UNIT_ONLY),EVENTFS_TEST_RUNS=$${EVENTFS_TEST_RUNS:-0.05}) \
	  node dist/test/run.js $(ONLY)

# Stress with deaths, for SECONDS; `make test` has half a minute of it.
SECONDS ?= 1800
soak: all
	@$(KEEP_OWNER)EVENTFS_SOAK_SECONDS=$(SECONDS) EVENTFS_TEST_FILE_SECONDS=$$(($(SECONDS) + 300)) \
	  node dist/test/run.js mounted/stress/soak

# Verifies the model of the hand-over from one daemon to the next with Spin; FULL=1 searches more
# deaths at once.
model: deps
	@$(if $(FULL),FULL=1) tools/model/verify

# The simulated daemon (docs/testing.md), for STEPS from the seed SEED on; `make test` has a million
# steps.
STEPS ?= 1000000
SEED ?= 1
simulate: all
	@$(KEEP_OWNER)EVENTFS_ASSERT=throw node --enable-source-maps dist/test/simulation/main.js \
	  --steps $(STEPS) --seed $(SEED)

# Whether the tests notice mistakes (docs/testing.md): the edits of test/mutants whose list, file or
# reason has one of these in it (`make mutants ONLY='owners raise.c'`), or StrykerJS over one file
# of fs/ (`make mutants STRYKER=bus/queue`). Takes long.
mutants: all test/build/deaths
ifdef STRYKER
	@npm ci --prefix test/mutants/stryker --ignore-scripts --no-audit --no-fund
	@EVENTFS_STRYKER=$(STRYKER) nice test/mutants/stryker/node_modules/.bin/stryker run \
	  test/mutants/stryker/config.mjs
else
	@node dist/test/mutants/run.js $(ONLY)
endif

# Prints the figures; judging them is for people.
bench: all benchmarks/build/client
	@$(KEEP_OWNER)node dist/benchmarks/run.js $(ONLY)

# The designs side by side in 2 minutes, the report in benchmarks/build/report. `make compare
# FULL=1` makes the committed one again.
compare: all
	@$(KEEP_OWNER)bin/eventfs compare \
	  $(if $(FULL),--full --out benchmarks/compare/report,--out benchmarks/build/report) \
	  $(if $(DESIGNS),--designs $(DESIGNS)) $(if $(SUBSCRIBERS),--subscribers $(SUBSCRIBERS)) \
	  $(if $(BYTES),--bytes $(BYTES))
	@$(if $(FULL),node dist/benchmarks/compare/answer.js)

# The manual's pages and the completions of shells: docs/decisions/089-manual.md. node-gyp empties
# build/ before it builds the addon.
MANUAL := $(addprefix build/man/,eventfs.1 eventfs.5 eventfs.toml.5 eventfs-filter.7)
COMPLETIONS := $(addprefix build/completions/,eventfs.bash _eventfs eventfs.fish)
man: $(MANUAL)
completions: $(COMPLETIONS)

$(MANUAL) &: $(COMPILED) $(wildcard docs/reference/*.md) | $(ADDON)
	$(KEEP_OWNER)node dist/tools/manual/main.js man build/man

$(COMPLETIONS) &: $(COMPILED) | $(ADDON)
	$(KEEP_OWNER)node dist/tools/manual/main.js completions build/completions

# The reference of the library, as HTML in build/api, from the comments of fs/index.ts and what it
# exports.
api: $(MODULES)
	$(KEEP_OWNER)$(BIN)/typedoc --options packaging/api/typedoc.json

lint: $(MODULES)
	$(BIN)/eslint .
	$(BIN)/prettier --check --log-level=warn .
	@if command -v clang-format >/dev/null; then clang-format --dry-run --Werror $(NATIVE); \
	else echo 'clang-format is not installed: the format of native/ is not checked'; fi
	@if command -v shellcheck >/dev/null; then shellcheck $(SHELL_SCRIPTS); \
	else echo 'shellcheck is not installed: the shell scripts are not checked'; fi
	$(BIN)/depcruise --config .dependency-cruiser.cjs fs

types: $(MODULES)
	$(BIN)/tsc -p . --noEmit --tsBuildInfoFile dist/.types.tsbuildinfo

$(MODULES): package-lock.json
	$(KEEP_OWNER)npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

$(ADDON): binding.gyp $(NATIVE) $(MODULES)
	$(KEEP_OWNER)$(BIN)/node-gyp rebuild --jobs=max --loglevel=error $(NODEDIR)
	@touch $@

$(COMPILED): tsconfig.json package.json native/index.d.ts $(MODULES) \
  $(shell find fs tools test examples $(wildcard benchmarks) -name '*.ts')
	$(KEEP_OWNER)$(BIN)/tsc -p .
	@touch $@

test/build/deaths: $(wildcard test/programs/* test/programs/*/*)
	@$(KEEP_OWNER)$(MAKE) --no-print-directory -C test/programs

benchmarks/build/client: $(wildcard benchmarks/programs/* test/programs/* test/programs/*/*)
	@$(KEEP_OWNER)$(MAKE) --no-print-directory -C benchmarks/programs figures

benchmarks/build/subscribers: $(wildcard benchmarks/programs/* test/programs/*/*.h)
	@$(KEEP_OWNER)$(MAKE) --no-print-directory -C benchmarks/programs compare

clean:
	rm -rf $(BUILT)

# ---- What must come from the system: command=package and header=package.

# Needed to build and serve.
COMMANDS := python3=python3 g++=g++ cc=gcc
HEADERS := /usr/include/linux/fuse.h=libc6-dev
# Needed only by the tests and the benchmarks.
TEST_COMMANDS := unshare=util-linux setpriv=util-linux nsenter=util-linux mount=mount \
  find=findutils setfattr=attr s6-mkfifodir=s6 busybox=busybox rsync=rsync curl=curl \
  inotifywait=inotify-tools fusermount=fuse3 fusermount3=fuse3 mount.fuse=fuse3 pgrep=procps \
  udevadm=udev ss=iproute2 ip=iproute2 openssl=openssl strace=strace zsh=zsh fish=fish \
  clang-format=clang-format shellcheck=shellcheck mandoc=mandoc man=man-db \
  promtool=prometheus prometheus-node-exporter=prometheus-node-exporter \
  mosquitto=mosquitto mosquitto_pub=mosquitto-clients mosquitto_sub=mosquitto-clients
TEST_HEADERS := /usr/include/fuse3/fuse_lowlevel.h=libfuse3-dev \
  /usr/lib/python3/dist-packages/pyudev/__init__.py=python3-pyudev
ifneq ($(filter $(if $(UNIT_ONLY),,test) soak bench compare,$(MAKECMDGOALS)),)
COMMANDS += $(TEST_COMMANDS)
HEADERS += $(TEST_HEADERS)
# For --driver fuse-native; where it lies differs.
LIBFUSE := $(if $(wildcard $(addsuffix /libfuse.so.2,/usr/lib/* /usr/lib* /lib/*)),,libfuse2)
endif
ifneq ($(filter model,$(MAKECMDGOALS)),)
COMMANDS += spin=spin
endif
thing = $(firstword $(subst =, ,$1))
package = $(lastword $(subst =, ,$1))
LACKING := \
  $(foreach pair,$(COMMANDS), \
    $(if $(shell command -v $(call thing,$(pair))),,$(call package,$(pair)))) \
  $(foreach pair,$(HEADERS),$(if $(wildcard $(call thing,$(pair))),,$(call package,$(pair)))) \
  $(LIBFUSE)
PACKAGES := $(sort $(LACKING))
# Alpine has other names for some of them, and its C library's headers come apart. Its pyudev lies
# elsewhere: that test is skipped.
apk_clang-format := clang-extra-tools
apk_udev := eudev
apk_libfuse2 := fuse
apk_libfuse3-dev := fuse3-dev
apk_libc6-dev := linux-headers
APK_PACKAGES := $(if $(filter gcc g++,$(PACKAGES)),musl-dev) \
  $(foreach name,$(filter-out python3-pyudev,$(PACKAGES)),$(or $(apk_$(name)),$(name)))

deps:
ifeq ($(NODE_PREFIX),)
	$(error Node.js 20.17 or newer is needed, with npm: see README.md)
endif
	@node -e '[a, b] = process.versions.node.split("."); process.exit(+(a * 100 + +b < 2017))' || \
	  { echo "eventfs: Node.js $$(node -v) is too old: use 20.17 or newer (README.md)" >&2; exit 1; }
ifneq ($(strip $(PACKAGES)),)
	@if command -v apt-get >/dev/null; then \
	  apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(PACKAGES); \
	elif command -v apk >/dev/null; then apk add $(APK_PACKAGES); \
	else echo "eventfs: install these with your package manager: $(PACKAGES)" >&2; exit 1; fi
endif

include packaging/rules.mk

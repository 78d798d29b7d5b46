# The packages for users: npm's package, Debian's package, and `make install` for other systems.

PREFIX ?= /usr/local
VERSION := $(shell sed -n 's/^  "version": "\(.*\)",/\1/p' package.json)

.PHONY: prebuilds package install uninstall deb

# Binaries for machines without a compiler, one folder an architecture; ARCHITECTURES='x64 arm64'
# for a release.
ARCHITECTURES ?= $(shell node -p process.arch)
prebuilds: deps $(MODULES)
	@for arch in $(ARCHITECTURES); do packaging/prebuild $$arch || exit 1; done

# npm's package: eventfs-$(VERSION).tgz.
package: all
	@npm pack

install: all man completions
	@packaging/install '$(DESTDIR)' '$(PREFIX)'

uninstall:
	@packaging/uninstall '$(DESTDIR)' '$(PREFIX)'

# Debian's package: build/eventfs_$(VERSION)_ARCHITECTURE.deb, with a Node of its own.
deb: all man completions
	@packaging/deb $(VERSION)

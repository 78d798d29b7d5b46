/** The versions of mosquitto: that of the machine's Debian, and that of Debian 13. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../mount/daemon.js';

/** `own` is the package of this machine, `trixie` that of Debian 13. */
export type MosquittoVersion = 'own' | 'trixie';

/** The folder of the trees that .ci/debian makes. */
const CACHE = process.env.EVENTFS_FRESH_CACHE ?? '/var/cache/eventfs-fresh';
const TREE = join(CACHE, 'mosquitto-trixie');
const FETCH_MS = 120_000;

/**
 * Returns the command that starts a version of mosquitto. That of Debian 13 is taken from this
 * machine's mirror of Debian once, with the libraries that it needs, and runs on this machine's
 * root: its own dynamic linker finds its own libraries.
 * @returns null if it is not there and cannot be fetched
 * @throws Error if it cannot be fetched in CI, where a mirror of Debian is expected
 */
export async function mosquittoCommand(
  version: MosquittoVersion,
): Promise<readonly string[] | null> {
  if (version === 'own') return ['mosquitto'];
  if (!existsSync(TREE)) {
    const problem = await fetchTree().catch((error: unknown) => String(error));
    if (problem !== '' && process.env.CI !== undefined)
      throw new Error(`mosquitto of Debian 13 could not be fetched: ${problem}`);
    if (problem !== '') return null;
  }
  const libraries = join(TREE, 'usr/lib');
  const folder = readdirSync(libraries).find((name) => name.endsWith('-linux-gnu'))!;
  const linker = readdirSync(join(libraries, folder)).find((name) => /^ld-linux/.test(name))!;
  const path = join(libraries, folder);
  return [join(path, linker), '--library-path', path, join(TREE, 'usr/sbin/mosquitto')];
}

/** Downloads the packages by apt with lists of its own, and unpacks them. */
const FETCH = `
uri=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian|//p' | sort -u | head -n 1)
[ -n "$uri" ] || { echo 'no mirror of Debian is in the configuration of apt' >&2; exit 1; }
mkdir -p "$1"/{lists,archives}/partial "$1/tree" && : >"$1/status" && echo "deb $uri trixie main" >"$1/sources.list"
options=(-qq -o "Dir::Etc::SourceList=$1/sources.list" -o Dir::Etc::SourceParts=/dev/null
  -o "Dir::State::Lists=$1/lists" -o "Dir::State::Status=$1/status" -o "Dir::Cache::Archives=$1/archives"
  -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
apt-get "\${options[@]}" update >/dev/null
apt-get "\${options[@]}" install --download-only --no-install-recommends -y mosquitto >/dev/null
for package in "$1"/archives/*.deb; do
  case $(basename "$package") in mosquitto_* | lib* | zlib1g_*) dpkg-deb --extract "$package" "$1/tree" ;; esac
done
`;

/** @returns the problem, or nothing */
async function fetchTree(): Promise<string> {
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(`${TREE}-`);
  writeFileSync(join(work, 'fetch'), FETCH);
  const command = ['bash', '-euo', 'pipefail', join(work, 'fetch'), work];
  const { err, code } = await run(command, { timeoutMs: FETCH_MS });
  // Another test may have been faster.
  if (code === 0 && !existsSync(TREE)) renameSync(join(work, 'tree'), TREE);
  rmSync(work, { recursive: true, force: true });
  return code === 0 ? '' : err.trim();
}

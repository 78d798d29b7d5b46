/**
 * The packages: package.json names each npm package that sources import, the product imports
 * nothing of tests and benchmarks, and eventfs's own packages have all its programs.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import * as assert from 'uvu/assert';
import { PROJECT } from '../support/project.js';
import { suite } from '../support/runner/suite.js';

const packages = suite('package.json');

type Versions = Readonly<Record<string, string>>;
interface Package {
  readonly dependencies?: Versions;
  readonly optionalDependencies?: Versions;
  readonly devDependencies?: Versions;
}

const read = (path: string): string => readFileSync(join(PROJECT, path), 'utf8');
const PRODUCT = JSON.parse(read('package.json')) as Package;
const BENCHMARKS = JSON.parse(read('benchmarks/package.json')) as Package;

/** Returns the source files of a folder, from the project's root. */
function sources(folder: string): string[] {
  const names = readdirSync(join(PROJECT, folder), { recursive: true }) as string[];
  return names
    .filter((name) => /\.[jt]s$/.test(name) && !/(^|\/)(node_modules|build)\//.test(name))
    .map((name) => `${folder}/${name}`);
}

/** Returns the module names that a file imports or requires, types included. */
function imports(file: string): string[] {
  const text = read(file);
  return [
    ...text.matchAll(
      /(?:^(?:import|export|\})(?:[^'\n]*from)? |import\(|require\(|url\)\()'([^'\n]+)'/gm,
    ),
  ].map(([, name]) => name);
}

/** Returns the npm packages that the files of these folders import. */
function imported(...folders: readonly string[]): string[] {
  const names = folders
    .flatMap(sources)
    .flatMap(imports)
    .filter((name) => !/^(\.|#|node:)/.test(name));
  return [
    ...new Set(
      names.map((name) =>
        name
          .split('/')
          .slice(0, name.startsWith('@') ? 2 : 1)
          .join('/'),
      ),
    ),
  ].sort();
}

packages('has as dependencies exactly the packages that the product imports', () => {
  const named = Object.keys({ ...PRODUCT.dependencies, ...PRODUCT.optionalDependencies }).sort();
  // node-addon-api has the headers for a machine that no prebuilt binary fits.
  assert.equal([...imported('fs', 'native'), 'node-addon-api'].sort(), named);
});

packages(
  'has as optional the packages that only an optional part loads, and no file imports them statically',
  () => {
    assert.equal(Object.keys(PRODUCT.optionalDependencies!), ['fuse-native', 'mqtt-packet']);
    for (const file of sources('fs'))
      assert.not.match(read(file), /^import (?!type )[^'\n]*'(fuse-native|mqtt-packet)'/m, file);
  },
);

packages(
  'of the benchmarks has exactly the packages that they import, in the same versions',
  () => {
    const versions = Object.entries(BENCHMARKS.devDependencies!);
    const named = versions.map(([name]) => name).filter((name) => !name.startsWith('@types/'));
    assert.equal(imported('benchmarks'), named.sort());
    const { devDependencies, dependencies, optionalDependencies } = PRODUCT;
    const product: Versions = { ...devDependencies, ...dependencies, ...optionalDependencies };
    for (const [name, version] of versions)
      if (name in product) assert.is(version, product[name], name);
    // As dependencies, `npm ci --omit=dev` would install them.
    assert.is(BENCHMARKS.dependencies, undefined);
  },
);

packages('has among its devDependencies all that the build tools import', () => {
  const known = Object.keys({ ...PRODUCT.devDependencies, ...PRODUCT.dependencies });
  // Of mdast there are only types.
  const missing = imported('tools').filter(
    (name) => !known.includes(name) && !known.includes(`@types/${name}`),
  );
  assert.equal(missing, []);
});

packages('has no package for tests or benchmarks that a file of fs and native needs', () => {
  for (const file of [...sources('fs'), ...sources('native')]) {
    for (const name of imports(file).filter((each) => each.startsWith('.'))) {
      assert.match(
        normalize(join(dirname(file), name)),
        /^(fs|native)\//,
        `${file} imports ${name}`,
      );
    }
  }
});

packages('has each program of binding.gyp, and the checks of both packages know it', () => {
  const targets = [...read('binding.gyp').matchAll(/'target_name': '(eventfs-\w+)'/g)];
  const programs = targets.map(([, name]) => name).sort();
  assert.ok(programs.length > 0, 'binding.gyp names programs');
  for (const script of ['packaging/prebuild', 'packaging/install'])
    for (const name of programs) assert.ok(read(script).includes(name), `${script}: ${name}`);
  for (const check of ['.ci/inside/npm', '.ci/inside/deb']) {
    const [, names] = /eventfs-\(([\w|]+)\)/.exec(read(check))!;
    assert.equal(
      names.split('|').map((name) => `eventfs-${name}`),
      programs,
      check,
    );
  }
});

packages('starts Node.js with the same options by bin/eventfs and by the library', () => {
  const optionsIn = (text: string): string[] =>
    [...text.matchAll(/--[\w-]+=?[\w.:]*/g)].map(([option]) => option).sort();
  const command = /^exec "\$node" (.*) \$port "\$main"/m.exec(read('bin/eventfs'))![1];
  const port = / port=(--\S+)/.exec(read('bin/eventfs'))![1];
  const list = /const all = \[(.*?)PROGRAM/s.exec(read('fs/library/mount.ts'))![1];
  assert.equal(optionsIn(list), optionsIn(`${command} ${port}`));
});

packages('is locked without the address of a registry', () => {
  assert.not.match(read('package-lock.json'), /"resolved": "\w+:/);
});

packages.run();

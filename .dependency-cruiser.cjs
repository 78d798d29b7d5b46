/**
 * Which folder of fs/ may import which: down only, types included, and never in a circle (`make lint`).
 *
 *   index.ts > library > client, sources
 *   cli > bridge > client
 *   cli > client
 *   index.ts, cli > daemon > drivers, sources, outlets > tree > bus > uevent, owners, fuse, state, guard > shared
 *
 * The client knows no part of the daemon. The drivers, which look at a mount point before they mount, may use it.
 */

/** From the top to the bottom. A folder imports what is below its line, never what is beside or above it. */
const LAYERS = [
  ['index.ts', 'cli'],
  ['bridge'],
  ['library'],
  ['daemon'],
  ['drivers', 'sources', 'outlets'],
  ['tree'],
  ['bus'],
  ['client'],
  ['uevent', 'owners', 'fuse', 'state', 'guard'],
  ['shared'],
];

const at = (folder) =>
  folder.endsWith('.ts') ? `fs/${folder.replace('.', '[.]')}$` : `fs/${folder}/`;
const anyOf = (folders) => `^(${folders.map(at).join('|')})`;

const upwards = LAYERS.flatMap((layer, depth) =>
  layer.map((folder) => ({
    name: `${folder}-imports-down`,
    comment: `${folder} imports only what lies below it`,
    severity: 'error',
    from: { path: anyOf([folder]) },
    to: {
      path: anyOf(
        LAYERS.slice(0, depth + 1)
          .flat()
          .filter((other) => other !== folder),
      ),
    },
  })),
);

module.exports = {
  forbidden: [
    ...upwards,
    {
      name: 'cli-uses-client-and-daemon',
      comment: 'a command talks to a mount through client/, or runs one through daemon/ or bridge/',
      severity: 'error',
      from: { path: anyOf(['cli', 'bridge']) },
      to: {
        path: anyOf(['library', 'drivers', 'sources', 'outlets', 'tree', 'bus', 'owners', 'fuse']),
      },
    },
    {
      name: 'bridge-uses-client',
      comment: 'the bridge is an ordinary client of a mount',
      severity: 'error',
      from: { path: anyOf(['bridge']) },
      to: { path: anyOf(['daemon']) },
    },
    {
      name: 'client-stands-alone',
      comment: 'only what looks at a mount from outside uses the client',
      severity: 'error',
      from: {
        path: '^fs/',
        pathNot: anyOf(['index.ts', 'cli', 'bridge', 'library', 'client', 'daemon', 'drivers']),
      },
      to: { path: anyOf(['client']) },
    },
    {
      name: 'no-circles',
      comment: 'two files that import each other, types included, are one file',
      severity: 'error',
      from: { path: '^fs/' },
      to: { circular: true },
    },
    {
      name: 'product-only',
      comment: 'the product never imports tests, benchmarks or build tools',
      severity: 'error',
      from: { path: '^(fs|native)/' },
      to: { path: '^(test|bench|benchmarks|compare|tools)/' },
    },
    {
      name: 'no-dead-files',
      comment: 'every file is imported, or is where a program begins',
      severity: 'error',
      from: { orphan: true, pathNot: '[.]d[.]ts$|^fs/index[.]ts$' },
      to: {},
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    includeOnly: '^(fs|native|test|bench|benchmarks|compare|tools)/',
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'default'] },
  },
};

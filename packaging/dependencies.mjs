// Prints the folders of npm packages and of all that they need, one a line:
// `packaging/dependencies.mjs NAME...`. The script packaging/install copies them. Packages of types
// are left out.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const found = new Set();

function find(name, from) {
  for (let folder = from; folder.length >= root.length; folder = dirname(folder)) {
    const path = join(folder, 'node_modules', name);
    if (existsSync(join(path, 'package.json'))) return path;
  }
  throw new Error(`${name} is not installed: run npm ci --include=optional`);
}

function add(name, from) {
  const path = find(name, from);
  if (found.has(path)) return;
  found.add(path);
  const { dependencies = {} } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'));
  for (const each of Object.keys(dependencies)) if (!each.startsWith('@types/')) add(each, path);
}

for (const name of process.argv.slice(2)) add(name, root);
for (const path of found) console.log(path);

/**
 * Finds the tests that run programs as another user, by reading the test files. .ci/fresh runs only
 * these in its clone: all other tests do the same there as anywhere.
 *
 *     node dist/test/support/runner/others.js
 *
 * Prints a line for each file with such tests: its name from dist/test on, a tab, and a pattern of
 * the tests' sentences. The pattern is empty if all of the file's tests are meant. A name is such a
 * name if it comes from test/support/mount/other-user.ts, or if its declaration uses one.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';
import { PROJECT } from '../project.js';

const TESTS = join(PROJECT, 'test');
const ORIGIN = join(TESTS, 'support/mount/other-user.ts');
/** Its check of every command, which needs no other user. */
const NO_USER = 'refuseUnreadable';

interface Test {
  /** A pattern of the sentence. */
  readonly pattern: string;
  readonly call: ts.CallExpression;
}

/** A file, with the names in it that have to do with another user. */
interface Analysed {
  readonly source: ts.SourceFile;
  readonly tainted: ReadonlySet<string>;
}

const analysed = new Map<string, Analysed>();

/** Analyses a file, and before it the files that it imports. */
function analyse(path: string): Analysed {
  const known = analysed.get(path);
  if (known !== undefined) return known;
  const source = ts.createSourceFile(
    path,
    readFileSync(path, 'utf8'),
    ts.ScriptTarget.Latest,
    true,
  );
  const tainted = new Set<string>();
  const result = { source, tainted };
  analysed.set(path, result); // before its imports: they may import it
  for (const statement of source.statements) {
    for (const [name, from, original] of importedNames(statement, path))
      if (isTainted(from, original)) tainted.add(name);
  }
  // A helper of test/support serves every test. Only the names that it passes on count.
  if (path.startsWith(join(TESTS, 'support/'))) return result;
  for (let before = -1; tainted.size !== before;) {
    before = tainted.size;
    for (const statement of source.statements)
      if (usesOne(statement, tainted, !path.endsWith('.test.ts')))
        for (const name of declaredNames(statement)) tainted.add(name);
  }
  return result;
}

function isTainted(from: string, name: string): boolean {
  if (from === ORIGIN) return name !== NO_USER;
  return from.startsWith(TESTS) && existsSync(from) && analyse(from).tainted.has(name);
}

/**
 * Returns each name that a statement imports, or exports from another file, and where it is from.
 */
function importedNames(statement: ts.Statement, path: string): [string, string, string][] {
  const isImport = ts.isImportDeclaration(statement);
  if (!isImport && !ts.isExportDeclaration(statement)) return [];
  const { moduleSpecifier } = statement;
  const named = isImport ? statement.importClause?.namedBindings : statement.exportClause;
  if (moduleSpecifier === undefined || !ts.isStringLiteral(moduleSpecifier)) return [];
  if (named === undefined || (!ts.isNamedImports(named) && !ts.isNamedExports(named))) return [];
  const from = resolve(dirname(path), moduleSpecifier.text.replace(/\.js$/, '.ts'));
  return [...named.elements].map(({ name, propertyName }) => [
    name.text,
    from,
    (propertyName ?? name).text,
  ]);
}

function declaredNames(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.map(({ name }) => name.getText());
  if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement))
    return statement.name === undefined ? [] : [statement.name.text];
  return [];
}

/**
 * Returns whether a node uses one of the names.
 * @param withTests whether the tests in it count too: those that a helper makes for several files
 */
function usesOne(node: ts.Node, names: ReadonlySet<string>, withTests = false): boolean {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return false;
  if (!withTests && ts.isCallExpression(node) && testOf(node) !== null) return false;
  if (ts.isIdentifier(node)) return names.has(node.text);
  return ts.forEachChild(node, (child) => usesOne(child, names, withTests) || undefined) === true;
}

/** Returns the test that a call makes: `suite('sentence', () => ...)`; null if it makes none. */
function testOf(call: ts.CallExpression): Test | null {
  const [sentence, body] = call.arguments;
  if (!ts.isIdentifier(call.expression) || body === undefined) return null;
  if (!ts.isArrowFunction(body) && !ts.isFunctionExpression(body)) return null;
  if (ts.isStringLiteralLike(sentence)) return { pattern: patternOf(sentence.text), call };
  if (!ts.isTemplateExpression(sentence)) return null;
  const parts = [sentence.head, ...sentence.templateSpans.map(({ literal }) => literal)];
  return { pattern: parts.map(({ text }) => patternOf(text)).join('.*'), call };
}

/** A pattern without any character that a shell or a regular expression takes for its own. */
function patternOf(text: string): string {
  return text.replace(/[^A-Za-z0-9 ]/g, '.');
}

function testsIn(node: ts.Node, into: Test[] = []): Test[] {
  const test = ts.isCallExpression(node) ? testOf(node) : null;
  if (test !== null) into.push(test);
  else ts.forEachChild(node, (child) => void testsIn(child, into));
  return into;
}

/** Returns the pattern of a file's tests with another user: '' is all of them, null none. */
function patternsOf(path: string): string | null {
  const { source, tainted } = analyse(path);
  if (tainted.size === 0) return null;
  const calls = source.statements.filter(
    (statement) => declaredNames(statement).length === 0 && usesOne(statement, tainted),
  );
  if (calls.length > 0) return ''; // a hook of the suite, or a helper that makes tests
  const chosen = testsIn(source).filter(({ call }) =>
    [call.expression, ...call.arguments].some((part) => usesOne(part, tainted)),
  );
  return chosen.length === 0 ? null : chosen.map(({ pattern }) => pattern).join('|');
}

for (const name of (readdirSync(TESTS, { recursive: true }) as string[]).sort()) {
  if (!name.endsWith('.test.ts') || !name.startsWith('mounted/')) continue;
  const path = join(TESTS, name);
  const pattern = patternsOf(path);
  if (pattern !== null) console.log(`${relative(TESTS, path).replace(/\.ts$/, '.js')}\t${pattern}`);
}

import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/', 'build/', 'benchmarks/build/', 'test/build/', '.stryker-tmp/'] },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    files: ['**/*.ts'],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      // A handler refuses with FsError whatever it returns otherwise.
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
      // `!` says what an index or a state proves and the type can't.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      eqeqeq: 'error',
      'max-lines-per-function': ['error', { max: 60, skipComments: true, skipBlankLines: true }],
    },
  },
  {
    // The errors of rmSync have neither a code nor a text in Node 24, so that no message fits them.
    files: ['fs/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { paths: [{ name: 'node:fs', importNames: ['rmSync'], message: 'Use unlinkSync.' }] },
      ],
    },
  },
  {
    // Messages go through printError, which makes each one line without control characters.
    files: ['fs/cli/**/*.ts'],
    ignores: ['fs/cli/terminal/output.ts'],
    rules: { 'no-console': ['error', { allow: ['log'] }] },
  },
  {
    // A table of tests is as long as it is.
    files: ['test/**/*.ts', 'benchmarks/figures/*.ts', 'benchmarks/*.ts'],
    rules: { 'max-lines-per-function': 'off' },
  },
  {
    files: ['**/*.js', '**/*.mjs', '**/*.cjs'],
    ...tseslint.configs.disableTypeChecked,
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        URL: 'readonly',
        module: 'writable',
        __dirname: 'readonly',
      },
    },
  },
);

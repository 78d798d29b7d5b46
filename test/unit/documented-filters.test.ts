/** Tests that the filters in the documents are filters, and name keys that events have. */
import * as assert from 'uvu/assert';
import { filterAdvice } from '../../fs/uevent/filter/advice.js';
import { Filter } from '../../fs/uevent/filter/filter.js';
import { documents, readDocument } from '../support/documents/markdown.js';
import { suite } from '../support/runner/suite.js';

/** A command that takes a filter, its options with their values, and the filter. */
const OPTIONS = /(?: --[a-z]+(?: \$?\w+)?)*/.source;
const FILTER = /(?:'([^']+)'|([A-Z]+==[^\s`']+))/.source;
const COMMAND = new RegExp(`\\beventfs (?:watch|run|wait|coldplug)${OPTIONS} ${FILTER}`, 'g');

/** The page shows the errors of filters too, in sessions that the documents' test runs. */
const WITH_ERRORS = 'docs/reference/filter.md';

const filters = suite('the filters in the documents');

filters('are valid, and match events', () => {
  const pages = documents().filter((path) => path !== WITH_ERRORS);
  const found = pages.flatMap((path) =>
    [...readDocument(path).matchAll(COMMAND)].map(([, quoted, plain]) => ({
      path,
      text: (quoted ?? plain).replaceAll('\\|', '|'),
    })),
  );
  assert.ok(found.length > 15, `${found.length} filters`);
  const advice = found.flatMap(({ path, text }) => {
    try {
      return filterAdvice(Filter.parse(text));
    } catch (error) {
      return [`${path}: ${text}: ${String(error)}`];
    }
  });
  assert.equal(advice, []);
});

filters.run();

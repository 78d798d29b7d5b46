/**
 * Prometheus' text format, version 0.0.4:
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import { FAMILIES, type FamilyName, type Labels, type Sample } from './families.js';

const PREFIX = 'eventfs_';

/** A label's value without a byte that is escaped: printable ASCII without quotes, backslashes. */
const PLAIN = /^[ !#-[\]-~]*$/;

/**
 * Formats samples. The samples of a family stand together, in the order of {@link FAMILIES}, after
 * its help and its type. A family without samples is left out.
 *
 * @returns the text in UTF-8, one character for each byte
 */
export function metricsText(samples: readonly Sample[]): string {
  const lines = new Map<FamilyName, string[]>();
  for (const { family, labels, value } of samples) {
    const known = lines.get(family) ?? [];
    known.push(`${PREFIX}${family}${labelText(labels)} ${value}\n`);
    lines.set(family, known);
  }
  let text = '';
  for (const [family, [type, help]] of Object.entries(FAMILIES)) {
    const found = lines.get(family as FamilyName);
    if (found === undefined) continue;
    text += `# HELP ${PREFIX}${family} ${help}\n# TYPE ${PREFIX}${family} ${type}\n`;
    text += found.join('');
  }
  return text;
}

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

/**
 * Escapes a label's value. The format has only UTF-8: other bytes become U+FFFD.
 *
 * @param value one character for each byte
 */
function escaped(value: string): string {
  if (PLAIN.test(value)) return value; // nearly all: the rest costs ten times as much
  const text = Buffer.from(value, 'latin1').toString();
  return Buffer.from(
    text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n'),
  ).toString('latin1');
}

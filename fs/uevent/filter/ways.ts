/** The values by which an index finds the events of a rule. */
import type { Rule } from './term.js';

/**
 * A way to find a rule's events in an index: each of them has one of these values of the key. Never
 * '', which a missing key has too.
 */
export interface Way {
  readonly key: string;
  readonly values: readonly string[];
}

/**
 * Returns the ways of one rule (see `Filter.ways`), or null if the rule can match no event. The
 * time is linear in the rule's length. Wildcards would need values times patterns.
 */
export function waysOf(rule: Rule): readonly Way[] | null {
  const required = new Map<string, Set<string>>();
  const tagged: Way[] = [];
  for (const { key, negated, literals } of rule) {
    if (negated || literals === null) continue;
    const known = required.get(key);
    if (key === 'TAGS')
      tagged.push({ key, values: [...new Set(literals)] }); // each term can match another tag
    else
      required.set(
        key,
        new Set(known === undefined ? literals : literals.filter((literal) => known.has(literal))),
      );
  }
  for (const { key, negated, alternatives } of rule) {
    if (negated)
      for (const { literal } of alternatives)
        if (literal !== null) required.get(key)?.delete(literal);
  }
  const ways = [...required].map(([key, values]) => ({ key, values: [...values] }));
  if (ways.some(({ values }) => values.length === 0)) return null;
  return [...ways, ...tagged].filter(({ values }) => !values.includes(''));
}

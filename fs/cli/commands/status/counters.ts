/** Every line of `log/.status` with its meaning: `eventfs status --all`. */
import { quotaOwner, type Status, subscriberKind } from '../../../shared/status-lines.js';
import { meaningOf } from '../../../client/status-meanings.js';
import { type Screen, shown } from '../../terminal/screen.js';
import { wrap } from '../../terminal/wrap.js';

/** The narrowest screen with the meanings beside the values. */
const WIDE = 72;
const INDENT = 4;

/** Formats all lines but those of single subscribers and quotas, which have tables. */
export function counterLines(daemon: Status, screen: Screen): string[] {
  const counters = [...daemon]
    .filter(([key]) => subscriberKind(key) === undefined && quotaOwner(key) === undefined)
    .map(([key, value]) => [`${key}=${shown(value, screen)}`, meaningOf(key)] as const);
  const width = Math.max(...counters.map(([line]) => line.length)) + 2;
  return counters.flatMap(([line, meaning]) => {
    if (screen.columns < WIDE)
      return [
        line,
        ...wrap(meaning, screen.columns - INDENT).map((text) => ' '.repeat(INDENT) + text),
      ];
    return wrap(meaning, screen.columns - width).map(
      (text, at) => `${(at === 0 ? line : '').padEnd(width)}${text}`,
    );
  });
}

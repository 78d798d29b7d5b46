/** The bounds of filters. */

/** The bounds of a filter. */
export interface FilterLimits {
  /** The most bytes of text. */
  readonly text: number;
  /** The most terms, in all rules together. */
  readonly terms: number;
  /** The most alternatives of one term. */
  readonly alternatives: number;
}

/** The daemon's limits if the configuration sets none. */
export const FILTER_LIMITS: FilterLimits = { text: 4 * 1024, terms: 64, alternatives: 32 };

/** The limits for programs that filter events themselves: none. */
export const NO_FILTER_LIMITS: FilterLimits = {
  text: Infinity,
  terms: Infinity,
  alternatives: Infinity,
};

/** The text is a filter that exceeds a limit: `a filter has at most 64 terms`. */
export class OversizedFilter extends Error {
  override readonly name = 'OversizedFilter';

  /**
   * @param what the limit that the filter exceeds
   * @param most the limit's value
   */
  constructor(
    readonly what: keyof FilterLimits,
    most: number,
  ) {
    super(
      {
        text: `a filter has at most ${most} bytes`,
        terms: `a filter has at most ${most} terms`,
        alternatives: `a term has at most ${most} alternatives`,
      }[what],
    );
  }
}

/** The model of an open `publish`: text in pieces becomes records. */

/** The text of a record, as the log has it; null if it is no event. */
function normalized(text: string): string | null {
  const trimmed = text.replace(/\n+$/, '');
  const [header, ...lines] = trimmed.split('\n');
  if (header.indexOf('@/') <= 0) return null;
  return lines.every((line) => line.indexOf('=') > 0 && !/^SEQNUM=(\D|\d+\D|$)/.test(line))
    ? `${trimmed}\n`
    : null;
}

/** An open `publish`. */
export class ModelPublish {
  /** The text that waits for the next write. */
  #begun = '';
  /** Whether a write has ended inside a record. */
  #isCut = false;
  #isBetween = false;
  #rest = 0;

  constructor(readonly uid: number) {}

  /**
   * Takes a write.
   *
   * @param taken how many bytes the daemon has taken
   * @returns the texts that are events now, and whether the write must fail with EINVAL: the text
   *   that another begins is an event even then
   */
  write(text: string, taken: number): { readonly events: string[]; readonly isRefused: boolean } {
    const events: string[] = [];
    const rest = this.#write(events, text, taken);
    return { events, isRefused: rest === null };
  }

  #write(events: string[], text: string, taken: number): string[] | null {
    if (
      this.#begun !== '' &&
      /^[^\n=]*@\//.test(text) &&
      (!this.#isCut || this.#begun.endsWith('\n'))
    ) {
      events.push(this.#begun);
      this.#begun = '';
      this.#isBetween = false;
    }
    const begun = this.#begun;
    this.#begun = '';
    if (begun !== '') {
      const joint = this.#isCut || begun.endsWith('\n') || text.startsWith('\n') ? '' : '\n';
      const whole = begun + joint + text;
      if (this.#isCut) return this.#records(events, whole, whole.length - text.length, true, taken);
      if (normalized(whole) === null || /\n\n+[^\n]/.test(whole)) return null;
      if (whole.endsWith('\n\n')) {
        events.push(whole);
        this.#isBetween = true;
      } else this.#begun = whole;
      return events;
    }
    const isHeader = !text.replace(/\n$/, '').includes('\n');
    return this.#records(events, text, 0, isHeader, taken);
  }

  #records(
    events: string[],
    text: string,
    base: number,
    waits: boolean,
    taken: number,
  ): string[] | null {
    const isRest = this.#rest > 0 && text.length - base >= this.#rest;
    let from = this.#isBetween ? /^\n*/.exec(text)![0].length : 0;
    const first = from;
    this.#rest = 0;
    for (let end = text.indexOf('\n\n', from); end >= 0; end = text.indexOf('\n\n', from)) {
      if (from > first && from - base >= taken) break; // the daemon has taken no more
      const record = text.slice(from, end + 1);
      if (normalized(record) === null) {
        if (from === first) return null;
        this.#rest = text.length - from;
        return events;
      }
      events.push(record);
      this.#isBetween = true;
      from = end + 1 + /^\n*/.exec(text.slice(end + 1))![0].length;
      if (from === text.length) return events;
    }
    if (from > first) {
      this.#rest = text.length - from;
      return events;
    }
    return this.#keep(events, text, from, isRest, waits);
  }

  #keep(
    events: string[],
    text: string,
    from: number,
    isTail: boolean,
    waits: boolean,
  ): string[] | null {
    if (from === text.length) return events;
    this.#isCut ||= isTail;
    if (!this.#isCut && !waits) {
      this.#isBetween = false;
      if (normalized(text.slice(from)) === null) return null;
      events.push(text.slice(from));
      return events;
    }
    const end = this.#isCut ? text.lastIndexOf('\n') + 1 : text.length;
    if (end > from && normalized(text.slice(from, end)) === null) return null;
    this.#begun = text.slice(from);
    return events;
  }

  /** Closes the file; returns the text that is an event now. */
  release(): { readonly event: string | null; readonly isCut: boolean } {
    const begun = this.#begun;
    this.#begun = '';
    if (begun === '') return { event: null, isCut: false };
    const isWhole = !this.#isCut || begun.endsWith('\n');
    return { event: isWhole ? begun : null, isCut: !isWhole };
  }
}

/**
 * The messages to a guardian that has no room for them: it may be stopped, as by SIGSTOP or a
 * freezer, and a daemon that waits for it serves no request.
 */

/** The pause between two attempts, in milliseconds. */
const RETRY_MS = 20;

/** Sends messages, or keeps them until there is room. */
export class Outbox {
  /** The last message about each descriptor, by the descriptor's name: earlier ones are void. */
  readonly #byName = new Map<string, { readonly text: string; readonly fd: number }>();
  #others: string[] = [];
  #timer: NodeJS.Timeout | null = null;
  #onEmpty: (() => void) | null = null;

  /** @param trySend sends a message. Returns false if there is no room */
  constructor(private readonly trySend: (text: string, fd: number) => boolean) {}

  /** Sends a message. */
  send(text: string): void {
    if (!this.#isEmpty || !this.trySend(text, -1)) this.#wait(() => this.#others.push(text));
  }

  /**
   * Sends a message about a descriptor of the guardian.
   *
   * @param name the descriptor's name
   * @param fd a descriptor that goes with the message, and stays open as long as the name is kept;
   *   -1 for none
   */
  sendAbout(name: string, text: string, fd: number): void {
    if (!this.#isEmpty || !this.trySend(text, fd))
      this.#wait(() => this.#byName.set(name, { text, fd }));
  }

  /** Sends a message that is void if it comes late. */
  sendNow(text: string): void {
    if (this.#isEmpty) this.trySend(text, -1);
  }

  /** Calls a function, once, when no message waits: at once if none does. */
  whenEmpty(call: () => void): void {
    if (this.#isEmpty) call();
    else this.#onEmpty = call;
  }

  /** Drops the messages that wait. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#byName.clear();
    this.#others = [];
    this.#onEmpty = null;
  }

  get #isEmpty(): boolean {
    return this.#timer === null;
  }

  #wait(add: () => void): void {
    add();
    this.#timer ??= setTimeout(() => this.#flush(), RETRY_MS);
  }

  #flush(): void {
    this.#timer = null;
    for (const [name, { text, fd }] of this.#byName) {
      if (!this.trySend(text, fd)) return this.#wait(() => undefined);
      this.#byName.delete(name);
    }
    while (this.#others.length > 0) {
      if (!this.trySend(this.#others[0], -1)) return this.#wait(() => undefined);
      this.#others.shift();
    }
    const call = this.#onEmpty;
    this.#onEmpty = null;
    call?.();
  }
}

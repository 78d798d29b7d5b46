/**
 * The daemon's side of the guardian's protocol (native/guard/guard.h). Each message is one line of
 * text on a SOCK_SEQPACKET socket, and may carry a descriptor.
 *
 *   daemon --> guardian                        guardian --> daemon
 *   HELLO <protocol>                           HELLO <protocol> first|restart|next
 *   WARM            it waits for TAKE          FD <name>, with a descriptor
 *   KEEP <name>, with a descriptor             TAKE      all descriptors are sent
 *   DROP <name>
 *   READY           it has restored the tree   SERVE <restarts> <reloads> <how the last one ended>
 *   NACK <why>      it can't                   YIELD <n>  stop between two requests
 *   YIELDED <n>                                RESUME    the next daemon could not take over
 *   NOTIFY <state>  for systemd                FAILED <why>, for the log
 *                                              QUIT      end without an unmount
 *                                              STANDBY 0|1, REFUSED <name>, UNKNOWN <message>
 */
import { ReadableWatch, receiveMessage, sendMessage } from '#native';
import { UserError, codeOf, isSystemError } from '../shared/errors.js';
import type { Logger } from '../shared/log/logger.js';
import type { StatusLines } from '../shared/status-lines.js';
import { Descriptors } from './descriptors.js';
import { PROTOCOL, readHello } from './hello.js';
import type { Holder } from './holder.js';
import { Outbox } from './outbox.js';
import type { Replaceable } from './replaceable.js';

/** A state that systemd gets again and again. */
const PING = 'WATCHDOG=1';
/** The errors of sendmsg(2) that end once the guardian reads again (unix(7)). */
const NO_ROOM: ReadonlySet<string> = new Set(['EAGAIN', 'ENOBUFS', 'ENOMEM', 'ETOOMANYREFS']);

const TOO_EARLY = 'the guardian has ended before this daemon could serve';

/** The guardian that has started this daemon. */
export class Guardian implements Holder {
  readonly keeps = true;
  readonly resends = true;
  /**
   * The place of this daemon: the `first` one mounts, `restart` follows a dead one, `next` warms up
   * and waits.
   */
  readonly role: string;
  readonly #descriptors = new Descriptors();
  readonly #outbox = new Outbox((text, fd) => this.#trySend(text, fd));
  readonly #received = new Int32Array(1);
  readonly #watch: ReadableWatch;
  #replaceable: Replaceable | null = null;
  #isConnected = true;
  #isReceiving = false;
  #hasYielded = false;
  /** The number of the YIELD that waits until all earlier messages are sent. */
  #yieldAsked: string | null = null;
  /** The descriptors to keep, by name, once this daemon serves; -1 for one to drop. */
  readonly #later = new Map<string, number>();
  /** Whether the last daemon has died: known once this one serves. */
  hasFollowedDeath = false;
  #restarts = 0;
  #reloads = 0;
  #hasStandby = false;
  /** The promises for TAKE and SERVE that are awaited. */
  readonly #awaited = new Map<string, { done: () => void; failed: (error: UserError) => void }>();
  readonly #seen = new Set<string>();

  /**
   * Says HELLO.
   *
   * @param socket the descriptor that GUARD_VARIABLE names
   * @throws UserError if there is no guardian, or one with another protocol
   */
  constructor(
    private readonly socket: number,
    private readonly logger: Logger,
  ) {
    this.role = readHello(socket);
    this.#watch = new ReadableWatch(socket, () => this.#receive());
    this.#outbox.send(`HELLO ${PROTOCOL}`);
    this.#receive(); // a standby has the state behind HELLO
  }

  get takesOver(): boolean {
    return this.role !== 'first';
  }

  get followsDeath(): boolean {
    return this.role === 'restart' || (this.takesOver && this.#seen.has('SERVE'));
  }

  /** Whether the descriptors of the last daemon have come: clients wait from now on. */
  get isCalled(): boolean {
    return this.#seen.has('TAKE');
  }

  /** Says that this daemon has warmed up. Resolves once it has the descriptors of the last one. */
  async taken(): Promise<void> {
    if (this.role === 'next') this.#outbox.send('WARM');
    await this.#message('TAKE');
  }

  look(name: string): number | undefined {
    return this.#descriptors.get(name);
  }

  take(name: string): number | undefined {
    return this.#descriptors.take(name);
  }

  keep(name: string, fd: number): void {
    this.#descriptors.keep(name);
    this.#change(name, fd);
  }

  drop(name: string): void {
    if (this.#descriptors.drop(name)) this.#change(name, -1);
  }

  /**
   * Changes what the guardian keeps: once this daemon serves, because before that the old one may
   * have to go on.
   *
   * @param fd -1 to drop the descriptor of that name
   */
  #change(name: string, fd: number): void {
    if (!this.#seen.has('SERVE')) this.#later.set(name, fd);
    else this.#outbox.sendAbout(name, `${fd < 0 ? 'DROP' : 'KEEP'} ${name}`, fd);
  }

  async ready(): Promise<void> {
    for (const name of this.#descriptors.closeRest()) this.drop(name);
    this.#outbox.send('READY');
    await this.#message('SERVE');
  }

  /** Says that this daemon can't take over. */
  nack(why: string): void {
    this.#outbox.send(`NACK ${why}`);
  }

  /** Sends a state to systemd: only the guardian may. */
  notify(state: string): void {
    if (state === PING) this.#outbox.sendNow(`NOTIFY ${state}`);
    else this.#outbox.send(`NOTIFY ${state}`);
  }

  /** Lets the guardian replace this daemon. */
  allowReplacement(replaceable: Replaceable): void {
    this.#replaceable = replaceable;
  }

  statusLines(): StatusLines {
    return [
      ['GUARDED', this.#isConnected ? 'guardian' : 'lost'],
      ['RESTARTS', this.#restarts],
      ['RELOADS', this.#reloads],
      ['STANDBY', this.#hasStandby ? 1 : 0],
    ];
  }

  release(): void {
    for (const name of this.#descriptors.names) this.drop(name);
    this.#close();
  }

  #close(): void {
    this.#isConnected = false;
    this.#outbox.close();
    this.#watch.close();
  }

  /** Resolves once the guardian has sent a message of this kind. */
  async #message(word: string): Promise<void> {
    if (this.#seen.has(word) || (!this.#isConnected && this.#servesAlone)) return;
    if (!this.#isConnected) throw new UserError(TOO_EARLY);
    await new Promise<void>((done, failed) => this.#awaited.set(word, { done, failed }));
  }

  /** @returns false if there is no room for the message now */
  #trySend(text: string, fd: number): boolean {
    if (!this.#isConnected) return true;
    try {
      sendMessage(this.socket, text, fd, false);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      if (NO_ROOM.has(codeOf(error))) return false;
      this.#lost();
    }
    return true;
  }

  #receive(): void {
    this.#isReceiving = true;
    for (;;) {
      const text = this.#isConnected
        ? receiveMessage(this.socket, this.#received, this.#hasYielded)
        : null;
      if (text === null) break;
      if (text === '') this.#lost();
      else this.#understand(text);
    }
    this.#isReceiving = false;
  }

  #understand(text: string): void {
    const blank = text.indexOf(' ');
    const word = blank < 0 ? text : text.slice(0, blank);
    const rest = blank < 0 ? '' : text.slice(blank + 1);
    const fd = this.#received[0];
    if (fd >= 0) this.#descriptors.add(rest, fd);
    else if (word === 'SERVE') this.#noteServe(rest);
    else if (word === 'YIELD') this.#yield(rest);
    else if (word === 'RESUME') this.#resume();
    else if (word === 'QUIT') this.#replaceable?.quit();
    else if (word === 'STANDBY') this.#hasStandby = rest === '1';
    else if (word === 'FAILED') this.logger.warn(`reload: this daemon goes on: ${rest}`);
    else if (word === 'REFUSED')
      this.logger.warn(`the guardian can't keep ${rest}: it has no room`);
    else if (word === 'UNKNOWN') this.logger.warn(`the guardian does not know the message ${rest}`);
    this.#seen.add(word);
    if (word === 'SERVE') this.#changeLater();
    this.#awaited.get(word)?.done();
  }

  #noteServe(rest: string): void {
    const [restarts, reloads, ...words] = rest.split(' ');
    const ending = words.join(' ');
    this.#restarts = Number(restarts);
    this.#reloads = Number(reloads);
    this.hasFollowedDeath = ending !== '';
    if (this.hasFollowedDeath)
      this.logger.warn(`the daemon ${ending}; this one goes on (restart ${restarts})`);
  }

  #changeLater(): void {
    for (const [name, fd] of this.#later) this.#change(name, fd);
    this.#later.clear();
  }

  /**
   * Yields, once all earlier messages are sent: the next daemon needs the descriptors in them.
   * Until the guardian answers, `#receive` blocks the whole process: a timer or a death would
   * change the state that the next daemon uses.
   */
  #yield(number: string): void {
    if (this.#replaceable === null) return; // it is not ready, and the time limit ends the reload
    this.#yieldAsked = number;
    this.#outbox.whenEmpty(() => this.#yieldNow());
  }

  #yieldNow(): void {
    if (this.#yieldAsked === null || this.#hasYielded) return;
    this.#hasYielded = true;
    this.#replaceable?.yield();
    try {
      sendMessage(this.socket, `YIELDED ${this.#yieldAsked}`, -1);
    } catch (error) {
      if (!isSystemError(error)) throw error; // the end of the socket follows
    }
    if (!this.#isReceiving) this.#receive();
  }

  #resume(): void {
    this.#yieldAsked = null;
    if (!this.#hasYielded) return;
    this.#hasYielded = false;
    this.#replaceable?.resume();
  }

  /** Whether this daemon goes on without the guardian. */
  get #servesAlone(): boolean {
    return this.#seen.has('SERVE') || (this.role !== 'next' && this.#seen.has('TAKE'));
  }

  #lost(): void {
    this.#close();
    if (!this.#servesAlone) {
      for (const { failed } of this.#awaited.values()) failed(new UserError(TOO_EARLY));
      return;
    }
    if (this.#hasYielded && this.#replaceable?.takeBack() === false) this.#replaceable.quit();
    this.#resume(); // the next daemon ends
    this.logger.error(
      'the guardian has ended: the daemon goes on, but nothing restarts it (later: eventfs umount, eventfs mount --guard)',
    );
    for (const { done } of this.#awaited.values()) done();
  }
}

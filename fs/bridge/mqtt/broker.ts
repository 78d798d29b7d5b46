/** The address of a broker, and how this host proves who it is. */
import { type Socket, connect as connectTcp, isIP } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { UsageError } from '../../shared/errors.js';
import { ADDRESS_MS, Addresses } from './addresses.js';
import { readPassword, readTlsFiles } from './secrets.js';

const PORTS: Readonly<Record<string, number>> = { 'mqtt:': 1883, 'mqtts:': 8883 };

/** The most bytes of one read(2). */
const READ_BYTES = 64 * 1024;

/** The options of `eventfs bridge` for the connection. */
export interface BrokerOptions {
  /** As in `mqtts://broker:8883`. */
  readonly broker: string;
  /** The certificates that the broker's must come from, as a file. */
  readonly ca?: string;
  /** This host's certificate and key, as files. */
  readonly cert?: string;
  readonly key?: string;
  readonly user?: string;
  readonly passwordFile?: string;
}

/** A broker. Files are read at each connection, so that a renewed certificate is used. */
export class Broker {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly #addresses: Addresses;

  /** @throws UsageError if the options don't fit together */
  constructor(private readonly options: BrokerOptions) {
    const { broker, ca, cert, key, user, passwordFile } = options;
    const url = parseUrl(broker);
    this.isTls = url.protocol === 'mqtts:';
    this.host = url.hostname.replace(/^\[|\]$/g, '');
    this.port = url.port === '' ? PORTS[url.protocol] : Number(url.port);
    this.#addresses = new Addresses(this.host);
    if (!this.isTls && (ca ?? cert ?? key) !== undefined)
      throw new UsageError(`${broker}: certificates need TLS (use mqtts://)`);
    if ((cert === undefined) !== (key === undefined))
      throw new UsageError('--cert and --key belong together (give both)');
    if (passwordFile !== undefined && user === undefined)
      throw new UsageError('--password-file needs --user (give both)');
  }

  /** The user's name, if there is one. */
  get user(): string | undefined {
    return this.options.user;
  }

  /** The broker's address, for messages. */
  get name(): string {
    const host = this.host.includes(':') ? `[${this.host}]` : this.host;
    return `${this.isTls ? 'mqtts' : 'mqtt'}://${host}:${this.port}`;
  }

  /**
   * Reads the password: the first line of its file.
   *
   * @throws UserError if the file can't be read, or has none
   */
  password(): Buffer | undefined {
    const { passwordFile } = this.options;
    return passwordFile === undefined ? undefined : readPassword(passwordFile);
  }

  /** Whether an option names the authorities to trust. */
  get hasAuthority(): boolean {
    return this.options.ca !== undefined;
  }

  /**
   * Reads all files once, so that a bridge with a wrong one does not start.
   *
   * @throws UserError if a file can't be read, or is not what its option asks for
   */
  check(): void {
    this.password();
    if (this.isTls) readTlsFiles(this.options);
  }

  /**
   * Begins a connection. Its bytes come without Node's streams, which a lone event would wait for.
   *
   * @param read called with the bytes of each read(2); the next read overwrites them
   * @throws UserError if a file can't be read, or is not what its option asks for
   */
  open(read: (bytes: Buffer) => void): Socket {
    const { host, port } = this;
    const { lookup } = this.#addresses;
    const many = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: ADDRESS_MS };
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const callback = (length: number): boolean => {
      read(buffer.subarray(0, length));
      return true;
    };
    const onread = { buffer, callback };
    const target = { host, port, noDelay: true, lookup, onread, ...many };
    if (!this.isTls) return connectTcp(target);
    return connectTls({ ...target, ...this.#tls() }).setNoDelay(true);
  }

  /** Lets the next connection begin with another address of the name. */
  skipAddress(): void {
    this.#addresses.skip();
  }

  /** Whether the name's addresses are not known yet. */
  get isResolving(): boolean {
    return this.#addresses.isResolving;
  }

  #tls(): ConnectionOptions {
    return {
      minVersion: 'TLSv1.2',
      ...(isIP(this.host) > 0 ? {} : { servername: this.host }),
      ...readTlsFiles(this.options),
    };
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !(url.protocol in PORTS) || url.hostname === '')
    throw new UsageError(
      `--broker ${text}: it is no address (use mqtts://HOST[:PORT] or mqtt://HOST[:PORT])`,
    );
  if (url.username !== '' || url.password !== '')
    throw new UsageError(
      '--broker: every user can read a command line (use --user and --password-file)',
    );
  if (!/^\/?$/.test(url.pathname) || url.search !== '' || url.hash !== '')
    throw new UsageError(`--broker ${text}: it has a path (use mqtts://HOST:PORT)`);
  return url;
}

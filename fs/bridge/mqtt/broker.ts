/** The address of a broker, and how this host proves who it is. */
import { readFileSync } from 'node:fs';
import { type Socket, connect as connectTcp } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { UsageError, UserError, isSystemError } from '../../shared/errors.js';

const PORTS: Readonly<Record<string, number>> = { 'mqtt:': 1883, 'mqtts:': 8883 };

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

  /** @throws UsageError if the options don't fit together */
  constructor(private readonly options: BrokerOptions) {
    const { broker, ca, cert, key, user, passwordFile } = options;
    const url = parseUrl(broker);
    this.isTls = url.protocol === 'mqtts:';
    this.host = url.hostname.replace(/^\[|\]$/g, '');
    this.port = url.port === '' ? PORTS[url.protocol] : Number(url.port);
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
   * @throws UserError if the file can't be read
   */
  password(): Buffer | undefined {
    const { passwordFile } = this.options;
    if (passwordFile === undefined) return undefined;
    const bytes = readSecret(passwordFile);
    const end = bytes.indexOf('\n');
    return end < 0 ? bytes : bytes.subarray(0, end);
  }

  /**
   * Begins a connection.
   *
   * @throws UserError if a file can't be read or is no certificate
   */
  open(): Socket {
    const { host, port } = this;
    if (!this.isTls) return connectTcp({ host, port, noDelay: true });
    try {
      return connectTls(this.#tls()).setNoDelay(true);
    } catch (error) {
      if (error instanceof UserError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new UserError(`${this.name}: ${reason} (check --ca, --cert and --key: PEM files)`);
    }
  }

  #tls(): ConnectionOptions {
    const { ca, cert, key } = this.options;
    return {
      host: this.host,
      port: this.port,
      minVersion: 'TLSv1.2',
      ...(/^[\d.]+$|:/.test(this.host) ? {} : { servername: this.host }),
      ...(ca !== undefined && { ca: readSecret(ca) }),
      ...(cert !== undefined && { cert: readSecret(cert) }),
      ...(key !== undefined && { key: readSecret(key) }),
    };
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !(url.protocol in PORTS) || url.hostname === '')
    throw new UsageError(`--broker ${text}: it is no address (use mqtts://HOST or mqtt://HOST)`);
  if (url.username !== '' || url.password !== '')
    throw new UsageError(
      '--broker: every user can read a command line (use --user and --password-file)',
    );
  if (!/^\/?$/.test(url.pathname) || url.search !== '' || url.hash !== '')
    throw new UsageError(`--broker ${text}: it has a path (use mqtts://HOST:PORT)`);
  return url;
}

function readSecret(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw UserError.from(error, path, { EACCES: 'let the user of the bridge read it' });
  }
}

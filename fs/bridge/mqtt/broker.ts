/** The address of a broker, and how this host proves who it is. */
import { readFileSync } from 'node:fs';
import { type Socket, connect as connectTcp } from 'node:net';
import { type ConnectionOptions, connect as connectTls, createSecureContext } from 'node:tls';
import { UsageError, UserError, isSystemError } from '../../shared/errors.js';

/** The first line of a certificate in a PEM file, as OpenSSL reads it. */
const CERTIFICATE = /^-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/m;

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
    const bytes = readSecret('--password-file', passwordFile);
    const end = bytes.indexOf('\n');
    return end < 0 ? bytes : bytes.subarray(0, end);
  }

  /**
   * Reads all files once, so that a bridge with a wrong one does not start.
   *
   * @throws UserError if a file can't be read, or is not what its option asks for
   */
  check(): void {
    const { ca, cert, passwordFile } = this.options;
    if (this.password()?.length === 0)
      throw new UsageError(`--password-file ${passwordFile}: its first line is empty`);
    if (!this.isTls) return;
    for (const [option, path] of [['--ca', ca] as const, ['--cert', cert] as const])
      if (path !== undefined && !CERTIFICATE.test(readSecret(option, path).toString('latin1')))
        throw new UsageError(`${option} ${path}: it has no certificate (use a file in PEM format)`);
    this.#orRefused(() => createSecureContext(this.#tls()));
  }

  /**
   * Begins a connection.
   *
   * @throws UserError if a file can't be read or is no certificate
   */
  open(): Socket {
    const { host, port } = this;
    if (!this.isTls) return connectTcp({ host, port, noDelay: true });
    return this.#orRefused(() => connectTls(this.#tls()).setNoDelay(true));
  }

  #orRefused<Result>(work: () => Result): Result {
    try {
      return work();
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
      ...(ca !== undefined && { ca: readSecret('--ca', ca) }),
      ...(cert !== undefined && { cert: readSecret('--cert', cert) }),
      ...(key !== undefined && { key: readSecret('--key', key) }),
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

function readSecret(option: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw UserError.from(error, `${option} ${path}`, {
      EACCES: 'let the user of the bridge read it',
      ENOENT: "check the file's name",
      EISDIR: 'name a file',
    });
  }
}

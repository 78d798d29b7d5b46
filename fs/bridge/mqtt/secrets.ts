/**
 * The files by which this host and its broker prove who they are. Wrong contents are an error of
 * the moment: a file that is empty now may be written soon. So a service tries again.
 */
import { X509Certificate } from 'node:crypto';
import { type SecureContextOptions, createSecureContext } from 'node:tls';
import { UserError, isSystemError } from '../../shared/errors.js';
import { readRegularFile } from '../files/regular-file.js';

/** The certificates of a PEM file, as OpenSSL finds them. */
const CERTIFICATES =
  /^-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----[^-]*(-----END \1CERTIFICATE-----)?/gm;
const KEY = /^-----BEGIN ([A-Z]+ )*PRIVATE KEY-----/m;
const ENCRYPTED = /^-----BEGIN ENCRYPTED|^Proc-Type: *4,ENCRYPTED/m;

/** The remedies for errors of OpenSSL, by a part of the code or the message. */
const REMEDIES: readonly (readonly [RegExp, string])[] = [
  [/(ee|ca)[ _]key[ _]too[ _]small/i, 'use a larger key: 2048 bits of RSA, or 256 of a curve'],
  [/md[ _]too[ _]weak/i, 'sign the certificate with SHA-256'],
  [/unsupported|decode|asn1|bad end line|pem/i, 'it is damaged: copy it again, in PEM format'],
];

/** The certificates and the key of one host, as their options name them. */
interface TlsFiles {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/**
 * Reads a file.
 *
 * @throws UserError if it can't be read
 */
function readSecret(option: string, path: string): Buffer {
  try {
    return readRegularFile(path);
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${option} ${error.message}`);
    if (!isSystemError(error)) throw error;
    throw UserError.from(error, `${option} ${path}`, {
      EACCES: 'let the user of the bridge read it',
      ENOENT: "check the file's name",
      ENOTDIR: "check the file's name",
      EISDIR: 'name a file',
    });
  }
}

/**
 * Reads the first line of a file.
 *
 * @throws UserError if it can't be read, or is empty
 */
export function readPassword(path: string): Buffer {
  const bytes = readSecret('--password-file', path);
  const end = bytes.indexOf('\n');
  const line = end < 0 ? bytes : bytes.subarray(0, end);
  if (line.length === 0)
    throw new UserError(
      `--password-file ${path}: its first line is empty (write the password there)`,
    );
  return line;
}

/**
 * Reads the files of TLS.
 *
 * @throws UserError that names the file to change
 */
export function readTlsFiles({ ca, cert, key }: TlsFiles): SecureContextOptions {
  const files = {
    ...(ca !== undefined && { ca: readCertificates('--ca', ca) }),
    ...(cert !== undefined && { cert: readCertificates('--cert', cert) }),
    ...(key !== undefined && { key: readKey(key) }),
  };
  try {
    createSecureContext(files);
  } catch (error) {
    for (const [name, path] of Object.entries({ ca, cert, key })) {
      const part = { [name]: files[name as keyof TlsFiles] };
      if (path !== undefined) tryAlone(part, `--${name} ${path}`);
    }
    // Each is right for itself.
    throw new UserError(
      `--cert ${cert} and --key ${key}: they are no pair (${reasonOf(error)}: use the key of this certificate)`,
    );
  }
  return files;
}

/** @throws UserError if OpenSSL does not take a file */
function tryAlone(part: SecureContextOptions, subject: string): void {
  try {
    createSecureContext(part);
  } catch (error) {
    const reason = reasonOf(error);
    const code = (error as { readonly code?: string }).code ?? '';
    const remedy = REMEDIES.find(([words]) => words.test(reason) || words.test(code))?.[1];
    throw new UserError(`${subject}: ${reason} (${remedy ?? 'make it again, in PEM format'})`);
  }
}

/** Returns OpenSSL's reason, without its numbers. */
function reasonOf(error: unknown): string {
  const { reason, message } = error as { readonly reason?: string; readonly message: string };
  return reason ?? message.split('\n')[0].replace(/^.*error:\w+:/, '');
}

/** OpenSSL passes over other text, and ends at a damaged certificate, without an error. */
function readCertificates(option: string, path: string): Buffer {
  const bytes = readSecret(option, path);
  const found = bytes.toString('latin1').match(CERTIFICATES);
  if (found === null)
    throw new UserError(`${option} ${path}: it has no certificate (use a file in PEM format)`);
  for (const text of found) {
    if (text.includes('TRUSTED')) continue; // Node has no parser for it.
    try {
      new X509Certificate(text);
    } catch (error) {
      throw new UserError(
        `${option} ${path}: a certificate in it is damaged: ${reasonOf(error)} (copy the file again)`,
      );
    }
  }
  return bytes;
}

function readKey(path: string): Buffer {
  const bytes = readSecret('--key', path);
  const text = bytes.toString('latin1');
  if (ENCRYPTED.test(text))
    throw new UserError(
      `--key ${path}: it is encrypted (openssl pkey -in ${path} -out NEW makes one without a passphrase)`,
    );
  if (!KEY.test(text))
    throw new UserError(`--key ${path}: it has no private key (use a file in PEM format)`);
  return bytes;
}

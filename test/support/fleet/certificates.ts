/** An authority of its own for a test, made by openssl(1). */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../mount/daemon.js';

/** A certificate and its private key: paths of PEM files. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** Signs certificates. */
export class Authority {
  private constructor(
    readonly folder: string,
    /** The path of the authority's own certificate, a PEM file. */
    readonly certificate: string,
  ) {}

  /** @param folder a folder for its files */
  static async make(folder: string): Promise<Authority> {
    const certificate = join(folder, 'ca.crt');
    const files = ['-keyout', join(folder, 'ca.key'), '-out', certificate];
    await openssl('req', '-x509', ...newKey('eventfs test authority'), '-days', '2', ...files);
    return new Authority(folder, certificate);
  }

  /**
   * Makes a certificate.
   * @param name its common name, which mosquitto can take for the user
   * @param address the IP address that it is for, if it is a server's
   */
  async sign(name: string, address?: string): Promise<Certificate> {
    const at = (suffix: string): string => join(this.folder, `${name}.${suffix}`);
    await openssl('req', ...newKey(name), '-keyout', at('key'), '-out', at('csr'));
    writeFileSync(at('ext'), address === undefined ? '' : `subjectAltName=IP:${address}\n`);
    const authority = ['-CA', this.certificate, '-CAkey', join(this.folder, 'ca.key')];
    const files = ['-in', at('csr'), '-out', at('crt'), '-extfile', at('ext')];
    await openssl('x509', '-req', ...authority, '-CAcreateserial', '-days', '2', ...files);
    return { certificate: at('crt'), key: at('key') };
  }
}

/** Returns the arguments of `openssl req` for a new key without a passphrase. */
function newKey(name: string): string[] {
  return [
    ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
    ...['-nodes', '-subj', `/CN=${name}`],
  ];
}

async function openssl(...words: readonly string[]): Promise<void> {
  const { err, code } = await run(['openssl', ...words]);
  if (code !== 0) throw new Error(`openssl ${words[0]}: ${err}`);
}

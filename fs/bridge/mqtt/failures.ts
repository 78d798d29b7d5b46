/** Why a connection to a broker fails: Node's errors in one line, with what to do. */
import { errnoText, isSystemError } from '../../shared/errors.js';

/** The hint if a broker accepts no connection, and does not say why. */
const REFUSED = 'its log has the reason; ports with TLS need mqtts://, all others mqtt://';

/** Hints by the code of the error. */
const HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'start the broker, or check the host and the port of --broker',
  ECONNRESET: REFUSED,
  EHOSTUNREACH: 'check the network',
  ENETUNREACH: 'check the network',
  ETIMEDOUT: 'check the network, and that no firewall drops the packets',
  ENOTFOUND: 'check the host of --broker, and DNS',
  EAI_AGAIN: 'check the network, and /etc/resolv.conf',
  SELF_SIGNED_CERT_IN_CHAIN: 'name the authority that has signed it: --ca FILE',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'name it: --ca FILE',
  UNABLE_TO_GET_ISSUER_CERT: 'name the authority that has signed it: --ca FILE',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'name the authority that has signed it: --ca FILE',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'name the authority that has signed it: --ca FILE',
  CERT_HAS_EXPIRED: 'renew it at the broker, or set the clock of this host',
  CERT_NOT_YET_VALID: 'set the clock of this host',
  ERR_TLS_CERT_ALTNAME_INVALID: 'give --broker the name that the certificate has',
};

/** An error of a socket, with the members that Node and OpenSSL add. */
interface SocketError extends Error {
  readonly code?: string;
  /** OpenSSL's reason, as in `wrong version number`. */
  readonly reason?: string;
  /** The errors of all addresses of a name. */
  readonly errors?: readonly SocketError[];
}

/**
 * Returns one line about the failure of a socket.
 *
 * @param error of the event `error` of a socket for TCP or TLS
 */
export function failureText(error: Error): string {
  const { errors, code = '', reason } = error as SocketError;
  // A name with several addresses: the error itself has no text.
  if (errors !== undefined && errors.length > 0) return failureText(errors[0]);
  if (reason === 'wrong version number' || reason === 'packet length too long')
    return 'the broker does not speak TLS on this port (use the port of its TLS listener, or mqtt://)';
  if (code.startsWith('ERR_SSL_') && code.includes('ALERT'))
    return `the broker refuses this host's certificate: ${reason ?? code} (check --cert and --key)`;
  const text = isSystemError(error) ? errnoText(error.errno) : error.message.split('\n')[0];
  return withHint(text, HINTS[code]);
}

/** Why a broker ends a connection that it has not accepted. */
export const CLOSED_AT_ONCE = withHint('the broker has closed the connection', REFUSED);

function withHint(text: string, hint: string | undefined): string {
  return hint === undefined ? text : `${text} (${hint})`;
}

/**
 * A process between bridges and a broker, which sees and changes their packets: brokers that refuse
 * messages, or bound them, and acknowledgements that do not come. The broker behind it is the real
 * one. Its parent sends orders (relay.ts).
 */
import { type Socket, connect, createServer } from 'node:net';
import * as mqtt from 'mqtt-packet';
import type { RelayOrders, RelayReport } from './relay.js';

const V5 = { protocolVersion: 5 } as const;
const ACK_DELAY_MS = 5;
const NOT_AUTHORIZED = 0x87;

const [address, port, own] = process.argv.slice(2);
let orders: RelayOrders = {};
const report: RelayReport = { mostInFlight: 0, refused: 0, firstPackets: [], events: 0 };

process.on('message', (next: RelayOrders | 'report') => {
  if (next === 'report') process.send!(report);
  else orders = next;
});
process.on('disconnect', () => process.exit());

createServer((client) => serve(client)).listen(Number(own), address, () => process.send!('ready'));

function serve(client: Socket): void {
  const broker = connect(Number(port), address);
  let inFlight = 0;
  let isFirst = true;
  const toClient = (packet: mqtt.Packet): void => void client.write(mqtt.generate(packet, V5));
  const toBroker = (packet: mqtt.Packet): void => void broker.write(mqtt.generate(packet, V5));
  const fromClient = mqtt.parser(V5).on('packet', (packet) => {
    if (isFirst) report.firstPackets.push(packet.cmd);
    isFirst = false;
    if (packet.cmd === 'subscribe' && orders.refusesSubscriptions === true) {
      const { messageId = 0, subscriptions } = packet;
      if (subscriptions.every(({ topic }) => topic.endsWith('/event'))) {
        toClient({ cmd: 'suback', messageId, granted: subscriptions.map(() => NOT_AUTHORIZED) });
        return;
      }
    }
    if (packet.cmd === 'publish') {
      if (orders.keepsQuestions === true && packet.topic.includes('/ask/')) return;
      report.mostInFlight = Math.max(report.mostInFlight, ++inFlight);
      if (packet.topic.endsWith('/event')) {
        report.events++;
        const { code, count = 0 } = orders.refuse ?? {};
        if (code !== undefined && report.refused < count) {
          report.refused++;
          inFlight--;
          const { messageId } = packet;
          toClient({ cmd: 'puback', messageId, reasonCode: code } as mqtt.Packet);
          return;
        }
      }
    }
    toBroker(packet);
  });
  const fromBroker = mqtt.parser(V5).on('packet', (packet) => {
    if (packet.cmd === 'puback') {
      if (orders.keepsAcknowledgements === true) return;
      setTimeout(() => {
        inFlight--;
        toClient(packet);
      }, ACK_DELAY_MS);
      return;
    }
    if (packet.cmd === 'pingresp' && orders.keepsPongs === true) return;
    if (packet.cmd === 'connack' && orders.receiveMaximum !== undefined)
      packet.properties = { ...packet.properties, receiveMaximum: orders.receiveMaximum };
    toClient(packet);
  });
  client.on('data', (bytes) => fromClient.parse(bytes));
  broker.on('data', (bytes) => fromBroker.parse(bytes));
  const end = (): void => [client, broker].forEach((socket) => void socket.destroy());
  for (const socket of [client, broker]) socket.on('error', end).on('close', end);
}

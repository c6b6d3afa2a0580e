// The Node client (ali-ons) as a program: node driver.js COMMAND key=value ... Prints what the Java driver prints.
'use strict';

const httpclient = require('urllib');
const { Consumer, Message, Producer } = require('ali-ons');

const [ command, ...args ] = process.argv.slice(2);
const options = Object.fromEntries(args.map(arg => [ arg.slice(0, arg.indexOf('=')), arg.slice(arg.indexOf('=') + 1) ]));
const logger = { info() {}, debug() {}, warn() {}, error(...all) { console.error(...all); } };

function line(event, fields) {
  process.stdout.write(JSON.stringify({ event, ...fields }) + '\n');
}

function common(name) {
  return {
    // It insists on an HTTP client although the name server is given.
    httpclient,
    logger,
    nameSrv: options.ns,
    instanceName: options.instance || name,
    clientIP: '127.0.0.1',
    ...('access' in options && { accessKey: options.access, secretKey: options.secret }),
  };
}

function message(number) {
  let body = `${options.prefix || 'm'}-${number}`;
  const size = Number(options.size || 0);
  if (body.length < size) {
    body += '.';
    while (body.length < size) body += String.fromCharCode(97 + body.length % 26);
  }
  const tags = (options.tags || '').split(',');
  const made = new Message(options.topic, tags[number % tags.length], body);
  if ('keys' in options) made.keys = [ options.keys + number ];
  return made;
}

async function send() {
  const producer = new Producer({
    ...common('producer'),
    producerGroup: options.group || 'e2e_producer',
    retryTimesWhenSendFailed: Number(options.retries || 0),
  });
  await producer.ready();
  line('ready');
  const from = Number(options.from || 0);
  let end = from + Number(options.count || 1);
  if (options.until === 'stdin') {
    end = Infinity;
    process.stdin.on('end', () => { end = 0; }).resume();
  }
  const pause = Number(options.pause || 0);
  const one = async number => {
    const made = message(number);
    const body = made.body.toString();
    try {
      const result = await producer.send(made);
      line('sent', {
        body,
        status: result.sendStatus,
        id: result.msgId,
        broker: result.messageQueue.brokerName,
        queue: Number(result.messageQueue.queueId),
        offset: Number(result.queueOffset),
      });
    } catch (error) {
      line('failed', { body, error: String(error) });
    }
  };
  // It has one way of sending; "async" keeps some under way.
  const width = options.mode === 'async' ? 32 : 1;
  for (let i = from; i < end; i += width) {
    await Promise.all(Array.from({ length: Math.min(width, end - i) }, (_, index) => one(i + index)));
    if (pause > 0) await new Promise(resolve => setTimeout(resolve, pause));
  }
  await producer.close();
}

async function consume() {
  const consumer = new Consumer({
    ...common('consumer'),
    consumerGroup: options.group || 'e2e_consumer',
    isBroadcast: options.model === 'broadcasting',
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
  });
  consumer.on('error', error => console.error(error));
  consumer.subscribe(options.topic, options.sub || '*', async got => {
    line('received', {
      body: got.body.toString(),
      id: got.msgId,
      queue: got.queueId,
      offset: Number(got.queueOffset),
      tag: got.tags || '',
      keys: got.keys || '',
    });
  });
  await consumer.ready();
  line('ready');
  await new Promise(resolve => process.stdin.on('end', resolve).resume());
  await consumer.close();
}

const commands = { send, consume };
if (!(command in commands)) {
  console.error(`no command ${command}`);
  process.exit(1);
}
commands[command]().then(() => {
  line('done');
  process.exit(0);
}, error => {
  console.error(error);
  process.exit(1);
});

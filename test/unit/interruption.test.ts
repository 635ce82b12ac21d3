/** Signals during a transaction: they wait for a place between two steps. */
import { holdingSignals, Interrupted } from '../../src/freeze/interruption';

const signals = [
  ['SIGHUP', 129],
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const;
const listeners = () => signals.map(([signal]) => process.listenerCount(signal));

test('a transaction without a signal goes to its end', async () => {
  const before = listeners();
  const result = await holdingSignals(async ({ check }) => {
    await check();
    expect(listeners()).toEqual(before.map((count) => count + 1));
    await check();
    return 'done';
  });
  expect(result).toBe('done');
  expect(listeners()).toEqual(before);
});

test.each(signals)('%s ends it between two steps, with status %d', async (signal, status) => {
  const steps: string[] = [];
  const before = listeners();
  const transaction = holdingSignals(async ({ check }) => {
    await check();
    process.emit(signal, signal);
    steps.push('the step is finished');
    await check();
    steps.push('the next one is not begun');
  });
  const error = await transaction.catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(Interrupted);
  expect(error).toMatchObject({ code: 'interrupted', signal, exit: status, message: `interrupted by ${signal}` });
  expect(steps).toEqual(['the step is finished']);
  expect(listeners()).toEqual(before);
});

test('the first signal counts, however many come', async () => {
  const error = await holdingSignals(async ({ check }) => {
    process.emit('SIGTERM', 'SIGTERM');
    process.emit('SIGINT', 'SIGINT');
    process.emit('SIGTERM', 'SIGTERM');
    await check();
  }).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ signal: 'SIGTERM', exit: 143 });
});

test('a signal goes on being told until the end', async () => {
  await holdingSignals(async ({ check }) => {
    process.emit('SIGINT', 'SIGINT');
    await expect(check()).rejects.toBeInstanceOf(Interrupted);
    await expect(check()).rejects.toBeInstanceOf(Interrupted);
  });
});

test('a signal that comes while a step waits is seen', async () => {
  const error = await holdingSignals(async ({ check }) => {
    setImmediate(() => process.emit('SIGINT', 'SIGINT'));
    await check();
    await check();
  }).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(Interrupted);
});

test('a signal after the last step changes nothing', async () => {
  const result = await holdingSignals(async ({ check }) => {
    await check();
    process.emit('SIGTERM', 'SIGTERM');
    return 'done';
  });
  expect(result).toBe('done');
});

test('one transaction’s signal is not the next one’s', async () => {
  await holdingSignals(async ({ check }) => {
    process.emit('SIGTERM', 'SIGTERM');
    await check();
  }).catch(() => null);
  await expect(holdingSignals(async ({ check }) => check())).resolves.toBeUndefined();
});

test('a failure of the transaction goes on, and nothing is left behind', async () => {
  const before = listeners();
  await expect(holdingSignals(() => Promise.reject(new Error('x')))).rejects.toThrow('x');
  expect(listeners()).toEqual(before);
});

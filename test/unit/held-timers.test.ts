/** What is changed for the time of a freeze, and what of it is put back by whom. */
import { planChange } from '../../src/tcp/change';
import { findHolders } from '../../src/tcp/holders';
import { readHeldTimers, timersBeside } from '../../src/tcp/timers';

const raised = { name: 'tcp_retries2', saved: 15, raised: 255 };

describe('a change', () => {
  test('is planned where a value is lower than wanted', () => {
    expect(planChange('tcp_retries2', 15, 255)).toEqual(raised);
    expect(planChange('tcp_retries2', 255, 255)).toBeNull();
    expect(planChange('tcp_keepalive_intvl', 300, 120)).toBeNull();
  });

  test('that is in force keeps the value that it saved', () => {
    expect(planChange('tcp_retries2', 255, 255, [raised])).toEqual(raised);
  });

  test('that somebody has changed since is planned anew', () => {
    expect(planChange('tcp_retries2', 9, 255, [raised])).toEqual({ ...raised, saved: 9 });
    expect(planChange('tcp_retries2', 300, 255, [raised])).toBeNull();
  });
});

describe('held timers', () => {
  const held = {
    settings: [raised],
    sockets: [{ cookie: '4711', options: [{ name: 'TCP_KEEPCNT', saved: 2, raised: 127 }] }],
  };

  test('come back from a record as they were written', () => {
    expect(readHeldTimers(JSON.parse(JSON.stringify(held)))).toEqual(held);
    expect(readHeldTimers({ settings: [], sockets: [] })).toEqual({ settings: [], sockets: [] });
  });

  test.each([
    null,
    undefined,
    7,
    'timers',
    [],
    {},
    { settings: [raised] },
    { settings: {}, sockets: [] },
    { settings: [null], sockets: [] },
    { settings: [{ ...raised, saved: '15' }], sockets: [] },
    { settings: [{ ...raised, raised: 1.5 }], sockets: [] },
    { settings: [{ saved: 1, raised: 2 }], sockets: [] },
    { settings: [], sockets: [null] },
    { settings: [], sockets: [{ cookie: 4711, options: [] }] },
    { settings: [], sockets: [{ cookie: '4711', options: [7] }] },
    { settings: [], sockets: [{ cookie: '4711' }] },
  ])('a record that says %j says none', (value) => {
    expect(readHeldTimers(value)).toBeNull();
  });

  test("beside an earlier freeze's are those that it had not raised, or not from that value", () => {
    expect(timersBeside(held, null)).toEqual(held);
    expect(timersBeside(held, held)).toEqual({ settings: [], sockets: [{ cookie: '4711', options: [] }] });
    const earlier = { settings: [{ ...raised, saved: 3 }], sockets: [{ cookie: '1', options: [] }] };
    expect(timersBeside(held, earlier)).toEqual(held);
  });
});

describe('holders', () => {
  test('of no socket are not looked for, and none is found of what nobody has', () => {
    expect(findHolders([], 1)).toEqual(new Map());
    expect(findHolders([0], 1)).toEqual(new Map());
    expect(findHolders([2 ** 40], 1)).toEqual(new Map());
  });
});

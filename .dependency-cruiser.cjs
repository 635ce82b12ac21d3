// The direction of imports between the rooms of src/: a room imports from itself and from rooms below it, never upwards.
// The order is the one of docs/design: commands at the top, platform at the bottom.
const order = [
  'commands',
  'presentation',
  'checkpoint',
  'units',
  'freeze',
  'record',
  'target',
  'hold',
  'tcp',
  'ruleset',
  'nftables',
  'netlink',
  'namespace',
  'platform',
];

// What a room may know besides what stands below it is nothing; what it may know at the most stands here.
const mayKnow = {
  commands: order,
  presentation: ['platform'],
  checkpoint: ['freeze', 'record', 'ruleset', 'platform'],
  units: ['platform'],
  freeze: ['record', 'target', 'hold', 'tcp', 'ruleset', 'nftables', 'netlink', 'namespace', 'platform'],
  record: ['namespace', 'platform'],
  target: ['namespace', 'platform'],
  hold: ['netlink', 'namespace', 'platform'],
  tcp: ['netlink', 'namespace', 'platform'],
  ruleset: ['nftables', 'platform'],
  nftables: ['netlink', 'namespace', 'platform'],
  netlink: ['platform'],
  namespace: ['platform'],
  platform: [],
};

const rooms = order.map((room) => ({
  name: `room-${room}`,
  comment: `src/${room} may import from itself and from: ${mayKnow[room].join(', ') || 'nothing'}`,
  severity: 'error',
  from: { path: `^src/${room}/` },
  to: {
    path: '^src/',
    pathNot: [room, ...mayKnow[room]].map((name) => `^src/${name}/`),
    // Types are no dependency at run time: presentation draws what freeze returns.
    ...(room === 'presentation' ? { dependencyTypesNot: ['type-only'] } : {}),
  },
}));

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-test-code-in-src',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|scripts)/' },
    },
    ...rooms,
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.cjs', '.mjs', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};

// jest's settings inside the test machine, for the files that rig/suite.ts has compiled: nothing is left to transform.
const patience = Number(process.env.NETFREEZE_TEST_PATIENCE ?? 1);

module.exports = {
  rootDir: '../../.cache/vm/suite',
  testEnvironment: 'node',
  // Jest's tidying between files has no end where a bundle replaces what it would delete; the machine goes anyway.
  testEnvironmentOptions: { globalsCleanup: 'off' },
  transform: {},
  testMatch: ['<rootDir>/**/*.test.js'],
  moduleFileExtensions: ['js', 'cjs', 'json', 'node'],
  testTimeout: 60_000 * patience,
  testSequencer: require.resolve('./sequencer.cjs'),
};

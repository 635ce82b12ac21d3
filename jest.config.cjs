const shared = {
  rootDir: __dirname,
  testEnvironment: 'node',
  transform: {
    '\\.(ts|mjs|js)$': '<rootDir>/scripts/jest-transform.cjs',
    '\\.hbs$': '<rootDir>/scripts/jest-transform.cjs',
  },
  // execa and what it needs are ESM only; everything else in node_modules is loaded as it is.
  transformIgnorePatterns: [
    '/node_modules/(?!(execa|@sindresorhus|figures|get-stream|human-signals|is-plain-obj|is-stream|is-unicode-supported|npm-run-path|parse-ms|path-key|pretty-ms|strip-final-newline|unicorn-magic|yoctocolors|@sec-ant)/)',
  ],
  // It has an `import` export only, which jest's CommonJS resolver does not ask for.
  moduleNameMapper: { '^unicorn-magic$': '<rootDir>/node_modules/unicorn-magic/node.js' },
  moduleFileExtensions: ['ts', 'mjs', 'js', 'cjs', 'json', 'node'],
  // TypeScript's extensionless imports; `dist` holds copies of nothing that a test should find.
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.cache/'],
};

module.exports = {
  projects: [
    { ...shared, displayName: 'unit', testMatch: ['<rootDir>/test/unit/**/*.test.ts'] },
    { ...shared, displayName: 'kernel', testMatch: ['<rootDir>/test/kernel/**/*.test.ts'] },
    { ...shared, displayName: 'faults', testMatch: ['<rootDir>/test/faults/**/*.test.ts'] },
  ],
  testTimeout: 60_000,
  // What runs beside it makes a test of moments slower, and more than two make it wrong.
  maxWorkers: 2,
};

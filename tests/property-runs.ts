import fc from 'fast-check';

// A weekly job asks for many more runs of each property than a developer waits for. A property that names its own number keeps it.
fc.configureGlobal({ ...fc.readConfigureGlobal(), numRuns: Number(process.env['PROPERTY_RUNS']) });

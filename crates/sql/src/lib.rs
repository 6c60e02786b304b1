//! SQL guards and engines; standalone, connections and processes are injected

//! Start a process contained: the only place that spawns, the only unsafe; standalone

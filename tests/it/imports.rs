//! `import`.

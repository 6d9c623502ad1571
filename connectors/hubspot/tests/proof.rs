#![cfg(feature = "sandbox")]

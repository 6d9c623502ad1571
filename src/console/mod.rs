//! The console: pages for operators and admins, served where the admin API is.
//!
//! A page shows what one read of the admin API answers, and each of its buttons is one call of it.

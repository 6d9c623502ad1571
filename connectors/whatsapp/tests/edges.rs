//! Settings, webhooks, checks and verdicts at their edges.

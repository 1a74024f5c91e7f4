"""Words, errors, registry and seeding that every other part stands on."""

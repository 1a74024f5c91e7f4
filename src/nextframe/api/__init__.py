"""The library's public functions: what `import nextframe` offers beyond the functions of its parts."""

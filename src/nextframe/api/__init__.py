"""The face of the library: what `import nextframe` offers beyond what the parts themselves do."""

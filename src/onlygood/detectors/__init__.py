"""The methods: one file each, how it is fitted."""

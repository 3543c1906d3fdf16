"""``ray.experimental.state``: where ``ray.util.state`` was before Ray 2.7."""

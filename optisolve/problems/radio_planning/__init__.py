"""Radio planning: where transmitters stand, where they look and how loud they are, in a city or a drawn one."""

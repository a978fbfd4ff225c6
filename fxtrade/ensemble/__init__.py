"""How several forecasts become one."""

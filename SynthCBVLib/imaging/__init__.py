"""Images as hospitals have them: studies, files, registration, brain masks and quality checks."""

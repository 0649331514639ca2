app_name = "lesson_app"
app_title = "Lesson App"
app_publisher = "memora contributors"
app_description = "An example of an app with lessons that memora schedules"
app_license = "MIT"

srs_question_loader = "lesson_app.lessons.load_cards"

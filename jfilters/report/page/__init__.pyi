from ._page import check_can_draw as check_can_draw
from ._page import page_data as page_data
from ._page import page_html as page_html
from ._page import write_page as write_page
